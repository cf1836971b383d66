import { align4, type Attribute, attributeList, attributes, textOf } from "./attributes.js";

/** Flags of a request (include/uapi/linux/netlink.h). */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

/** Flags of a reply. */
export const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const HEADER = 16;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

/** A request without its sequence number: type, flags, the fixed header of its family, attributes. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly header: Buffer;
  readonly attributes?: readonly Attribute[];
  /** In a batch: acknowledge only a failure. */
  readonly quiet?: boolean;
}

/** A message from the kernel. Its value starts after the netlink header. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly data: Buffer;
}

/** An acknowledgement from the kernel. */
export interface Acknowledgement {
  /** 0 means success. */
  readonly errno: number;
  /** The kernel's error message ("extended ack"), if any. */
  readonly text: string | undefined;
  /** The name in the part of the request that the kernel rejected, if it pointed at one. */
  readonly near: string | undefined;
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

/** Decodes the messages of one received datagram. */
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

/** The acknowledgement that ends the request `sent`, or undefined if the message is part of the reply. */
export function acknowledgement({ type, flags, data }: Message, sent: Buffer): Acknowledgement | undefined {
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE) return undefined;
  const errno = data.length < 4 ? 0 : Math.abs(data.readInt32LE(0));
  if (!(flags & NLM_F_ACK_TLVS)) return { errno, text: undefined, near: undefined };
  // In the end of a dump, attributes follow the errno. In an error, the repeated request stands in between.
  let at = 4;
  if (type === NLMSG_ERROR) at += flags & NLM_F_CAPPED ? HEADER : align4(data.readUInt32LE(4));
  const extended = attributes(data.subarray(at));
  const [words, offset] = [extended.get(NLMSGERR_ATTR_MSG), extended.get(NLMSGERR_ATTR_OFFS)];
  return {
    errno,
    text: words && textOf(words),
    near: offset && nameIn(sent.subarray(offset.readUInt32LE())),
  };
}

/** The first text in an attribute or in its nested attributes. */
function nameIn(data: Buffer): string | undefined {
  const [first] = attributeList(data);
  if (!first || first.value.length === 0) return undefined;
  const text = textOf(first.value);
  return /^[ -~]{2,}$/.test(text) ? text : nameIn(first.value);
}

function padded(header: Buffer): Buffer {
  const rest = align4(header.length) - header.length;
  return rest === 0 ? header : Buffer.concat([header, Buffer.alloc(rest)]);
}
