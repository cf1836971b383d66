import { align4, type Attribute, attributes, textOf } from "./attributes.js";

/** Flags of a request (include/uapi/linux/netlink.h). */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

/** Flags of an answer. */
export const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const HEADER = 16;
const NLMSGERR_ATTR_MSG = 1;

/** A request before it has its sequence number: type, flags, the fixed header of its family, attributes. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly header: Buffer;
  readonly attributes?: readonly Attribute[];
  /** In a batch: no acknowledgement of success is wanted. */
  readonly quiet?: boolean;
}

/** A message the kernel sent, its value starting after the netlink header. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly data: Buffer;
}

/** What an acknowledgement says: errno 0 is success; `text` is the kernel's extended-ack sentence, if it gave one. */
export interface Acknowledgement {
  readonly errno: number;
  readonly text: string | undefined;
}

export function encodeMessage(request: Request, sequence: number): Buffer {
  const header = Buffer.alloc(HEADER);
  const body = [header, padded(request.header), ...(request.attributes ?? [])];
  const message = Buffer.concat(body);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(request.type, 4);
  message.writeUInt16LE(request.flags | NLM_F_REQUEST, 6);
  message.writeUInt32LE(sequence, 8);
  return message;
}

/** The messages in one received datagram. */
export function decodeMessages(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at + HEADER <= datagram.length;) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER || at + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      data: datagram.subarray(at + HEADER, at + length),
    });
    at += align4(length);
  }
  return messages;
}

/** What a message says about the end of its request, or undefined when it is part of the answer. */
export function acknowledgement({ type, flags, data }: Message): Acknowledgement | undefined {
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE) return undefined;
  if (data.length < 4) return { errno: 0, text: undefined };
  // The end of a dump has its attributes right after the errno; an error repeats the request in between.
  let at = 4;
  if (type === NLMSG_ERROR) at += flags & NLM_F_CAPPED ? HEADER : align4(data.readUInt32LE(4));
  const extended = flags & NLM_F_ACK_TLVS ? attributes(data.subarray(at)).get(NLMSGERR_ATTR_MSG) : undefined;
  return { errno: Math.abs(data.readInt32LE(0)), text: extended && textOf(extended) };
}

function padded(header: Buffer): Buffer {
  const rest = align4(header.length) - header.length;
  return rest === 0 ? header : Buffer.concat([header, Buffer.alloc(rest)]);
}
