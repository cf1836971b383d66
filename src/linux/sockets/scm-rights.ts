import { constants } from "node:os";
import { MSG_DONTWAIT, MSG_NOSIGNAL, SOL_SOCKET } from "../constants.js";
import { libc } from "../libc.js";
import { canReceiveDescriptors } from "./close-received.js";

/** Maximum number of descriptors in one message. The kernel drops further ones. */
const MAX_DESCRIPTORS = 64;

const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;

// struct cmsghdr: length (8 bytes), level (4), type (4); the descriptors follow, 4 bytes each.
const CONTROL_HEAD = 16;
const controlSpace = (count: number): number => CONTROL_HEAD + Math.ceil((count * 4) / 8) * 8;

/** A `struct msghdr` with one buffer and control data. All sockets share it, because calls never wait. */
class Message {
  readonly header = Buffer.alloc(56);
  readonly control: Buffer;
  private readonly vector = Buffer.alloc(16);

  constructor(
    readonly data: Buffer,
    descriptors: number,
  ) {
    this.control = Buffer.alloc(controlSpace(descriptors));
    this.vector.writeBigUInt64LE(libc().address(data), 0);
    this.vector.writeBigUInt64LE(BigInt(data.length), 8);
    this.header.writeBigUInt64LE(libc().address(this.vector), 16);
    this.header.writeBigUInt64LE(1n, 24);
    this.header.writeBigUInt64LE(libc().address(this.control), 32);
    this.controlLength = this.control.length;
  }

  get controlLength(): number {
    return this.header.readUInt32LE(40);
  }

  /** The kernel overwrites it with the actual length. */
  set controlLength(length: number) {
    this.header.writeUInt32LE(length, 40);
  }
}

let incoming: Message | undefined;
let outgoing: Message | undefined;

/** Received data and descriptors. Length 0 means the end of the stream. */
export interface Received {
  /** Valid until the next read. */
  readonly data: Buffer;
  readonly descriptors: readonly number[];
}

/**
 * Reads without waiting. Returns the errno if there is nothing to read. The caller closes the descriptors.
 */
export function receiveMessage(fd: number): Received | number {
  incoming ??= new Message(Buffer.allocUnsafeSlow(64 << 10), MAX_DESCRIPTORS);
  // Without space, the kernel drops the descriptors, and does not wait for their file systems.
  incoming.controlLength = canReceiveDescriptors() ? incoming.control.length : 0;
  const length = libc().recvmsg(fd, incoming.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return libc().errno();
  const { controlLength } = incoming;
  const descriptors = controlLength === 0 ? none : descriptorsIn(incoming.control.subarray(0, controlLength));
  return { data: incoming.data.subarray(0, length), descriptors };
}

/** Sends one byte with one descriptor. Returns 0, or the errno if the kernel rejected it. */
export function sendDescriptor(fd: number, byte: number, descriptor: number): number {
  if (!outgoing) {
    outgoing = new Message(Buffer.alloc(1), 1);
    outgoing.control.writeUInt32LE(CONTROL_HEAD + 4, 0);
    outgoing.control.writeInt32LE(SOL_SOCKET, 8);
    outgoing.control.writeInt32LE(SCM_RIGHTS, 12);
  }
  outgoing.data[0] = byte;
  outgoing.control.writeInt32LE(descriptor, CONTROL_HEAD);
  const sent = libc().sendmsg(fd, outgoing.header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? libc().errno() : 0;
}

/** Whether an errno means "try again later". */
export function isNotNow(errno: number): boolean {
  return errno === constants.errno.EAGAIN || errno === constants.errno.EINTR;
}

const none: readonly number[] = [];

function descriptorsIn(control: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + CONTROL_HEAD <= control.length;) {
    const length = control.readUInt32LE(at);
    if (length < CONTROL_HEAD) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS) {
      for (let i = at + CONTROL_HEAD; i + 4 <= at + length; i += 4) found.push(control.readInt32LE(i));
    }
    at += Math.ceil(length / 8) * 8;
  }
  return found;
}
