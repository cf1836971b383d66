import { closeSync } from "node:fs";
import { constants } from "node:os";
import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { Code, NsmError } from "../../core/index.js";
import { MSG_DONTWAIT, MSG_NOSIGNAL } from "../constants.js";
import { SystemCallError } from "../errno.js";
import { check, libc, type PollHandle } from "../libc.js";
import { closeReceived } from "./close-received.js";
import { peerProcess } from "./peer-process.js";
import { isNotNow, receiveMessage, sendDescriptor } from "./scm-rights.js";

const F_DUPFD_CLOEXEC = 1030;
const [SHUT_WR, SHUT_RDWR] = [1, 2];
const ETOOMANYREFS = 109;
/** Maximum reads per turn, so that one busy connection does not starve the others. */
const READS_PER_TURN = 16;

type WriteDone = (error?: Error | null) => void;

/** Duplicates a descriptor, with close-on-exec set. The caller closes the duplicate. */
export function duplicate(fd: number): number {
  return check("fcntl", libc().fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/**
 * A unix stream socket that passes descriptors, which Node's own socket drops. Each descriptor travels with
 * one byte of the next write. To its peer, it is an ordinary unix socket.
 */
export class AttachableSocket extends Duplex {
  /** Number of bytes received, as with Node's sockets. */
  bytesRead = 0;
  private readonly poll: PollHandle;
  private readonly queued: number[] = [];
  private wantsData = false;
  /** After an error, the socket is no longer watched, although there may be more to read. */
  private stopped = false;
  private watched = { readable: false, writable: false };
  private unsent: { readonly data: Buffer; readonly done: WriteDone } | undefined;
  private turn: NodeJS.Immediate | undefined;

  /** Takes ownership of the descriptor. `onDescriptor` must close the descriptors it receives. */
  constructor(
    private readonly fd: number,
    private readonly onDescriptor: (descriptor: number) => void,
  ) {
    super({ allowHalfOpen: false, readableHighWaterMark: 64 << 10, writableHighWaterMark: 64 << 10 });
    // Promises and ticks started in this callback would wait for the next event, so the work is deferred.
    this.poll = libc().poll(fd, { readable: true }, (failed) => {
      this.stopped ||= failed;
      this.turn ??= setImmediate(() => this.ready());
    });
    this.watch({ readable: false, writable: false });
  }

  /**
   * Takes over a connected Node socket before anything was read from it. Returns undefined if the socket has
   * no descriptor, or if the process is out of descriptors. Then the Node socket stays usable.
   */
  static over(socket: Socket, onDescriptor: (descriptor: number) => void): AttachableSocket | undefined {
    const { fd = -1 } = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle ?? {};
    if (fd < 0) return undefined;
    let second: number;
    try {
      second = duplicate(fd);
    } catch {
      return undefined;
    }
    const own = new AttachableSocket(second, onDescriptor);
    socket.destroy();
    return own;
  }

  /** The process at the other end. */
  readonly peerProcess = peerProcess(() => {
    if (!this.destroyed) return this.fd;
    throw new NsmError(Code.Unavailable, "the unix socket is closed");
  });

  /** Sends a descriptor with the next bytes, then closes it. Closes it with the socket if it is not sent. */
  attach(descriptor: number): void {
    if (this.destroyed) closeReceived(descriptor);
    else this.queued.push(descriptor);
  }

  /** Keeps the process alive. */
  ref(): void {
    this.poll.ref();
  }

  /** Lets the process exit. */
  unref(): void {
    this.poll.unref();
  }

  /** After the peer has closed, further writes are discarded without an error, as with Node's sockets. */
  override write(chunk: unknown, ...rest: unknown[]): boolean {
    if (!this.writableEnded) return super.write(chunk, ...(rest as [BufferEncoding, WriteDone]));
    const done = rest.at(-1);
    if (typeof done === "function") process.nextTick(done);
    return true;
  }

  override _read(): void {
    this.wantsData = true;
    if (!this.watched.readable) this.watch({ ...this.watched, readable: true });
  }

  override _write(chunk: Buffer, _encoding: string, done: WriteDone): void {
    this.unsent = { data: chunk, done };
    this.send();
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: WriteDone): void {
    this.unsent = { data: Buffer.concat(chunks.map(({ chunk }) => chunk)), done };
    this.send();
  }

  override _final(done: WriteDone): void {
    // Fails if the peer is gone. No process is left to notify.
    libc().shutdown(this.fd, SHUT_WR);
    done();
  }

  override _destroy(error: Error | null, done: WriteDone): void {
    clearImmediate(this.turn);
    this.poll.close();
    closeSync(this.fd);
    for (const descriptor of this.queued.splice(0)) closeReceived(descriptor);
    const { unsent } = this;
    this.unsent = undefined;
    unsent?.done(error ?? new Error("the socket was closed"));
    done(error);
  }

  private ready(): void {
    this.turn = undefined;
    if (this.destroyed) return;
    if (this.unsent) this.send();
    if (this.wantsData) this.receive();
    // Deferred to this point: usually the reader asks for more before the next turn.
    else if (this.watched.readable) this.watch({ ...this.watched, readable: false });
    if (this.stopped && !this.destroyed) this.watch(this.watched);
    this.stopped = false;
  }

  private receive(): void {
    for (let reads = 0; reads < READS_PER_TURN && this.wantsData && !this.destroyed; reads++) {
      const received = receiveMessage(this.fd);
      if (typeof received === "number") {
        if (isNotNow(received)) return;
        if (isHungUp(received)) return this.endOfData();
        return void this.destroy(new SystemCallError("recvmsg", received));
      }
      const { data, descriptors } = received;
      for (const descriptor of descriptors) this.onDescriptor(descriptor);
      if (data.length === 0) return this.endOfData();
      this.bytesRead += data.length;
      this.wantsData = this.push(Buffer.from(data));
      // After a message with descriptors there may be more data. After a short message without any, there is
      // none yet.
      if (descriptors.length === 0 && data.length < 64 << 10) return;
    }
  }

  private endOfData(): void {
    this.wantsData = false;
    this.watch({ ...this.watched, readable: false });
    this.push(null);
  }

  private send(): void {
    let { data } = this.unsent!;
    let errno = 0;
    // Sends all descriptors now, because no further write may follow. Descriptors beyond the number of bytes
    // wait.
    while (this.queued.length > 0 && data.length > 0) {
      errno = sendDescriptor(this.fd, data[0]!, this.queued[0]!);
      if (isNotNow(errno)) break;
      closeReceived(this.queued.shift()!);
      // Too many descriptors are in transit: the byte is sent alone. The receiver that waits for the
      // descriptor reports it.
      if (errno === ETOOMANYREFS) errno = 0;
      else if (errno === 0) data = data.subarray(1);
      else break;
    }
    while (errno === 0 && data.length > 0) {
      const sent = libc().send(this.fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) errno = libc().errno();
      else data = data.subarray(sent);
    }
    this.sent(data, errno);
  }

  private sent(left: Buffer, errno: number): void {
    const { done } = this.unsent!;
    if (isNotNow(errno)) {
      this.unsent = { data: left, done };
      if (!this.watched.writable) this.watch({ ...this.watched, writable: true });
      return;
    }
    this.unsent = undefined;
    if (this.watched.writable) this.watch({ ...this.watched, writable: false });
    if (isHungUp(errno)) {
      // As with Node's sockets, the reader reports the end after it has read the rest. Shutting down
      // guarantees an end.
      libc().shutdown(this.fd, SHUT_RDWR);
      return done();
    }
    done(errno === 0 ? null : new SystemCallError("send", errno));
  }

  private watch(interest: { readonly readable: boolean; readonly writable: boolean }): void {
    this.watched = interest;
    this.poll.watch(interest);
  }
}

/** Whether an errno only means that the peer is gone. For a stream, that is its end. */
function isHungUp(errno: number): boolean {
  return errno === constants.errno.EPIPE || errno === constants.errno.ECONNRESET;
}
