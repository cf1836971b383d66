import { closeSync } from "node:fs";
import { Code, NsmError } from "../../core/index.js";
import { MSG_DONTWAIT, MSG_TRUNC } from "../constants.js";
import { errnoName, errnoText, refusal, remedyFor } from "../errno.js";
import { libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";
import {
  type Acknowledgement,
  acknowledgement,
  decodeMessages,
  encodeMessage,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  type Request,
} from "./message.js";
import { openNetlink } from "./open.js";
import { onPool } from "./concurrency-limit.js";

const dumpAttempts = 5;
/** Up to this many messages are sent in place. The kernel needs a second for thousands of rules. */
const shortBatch = 200;

/** The kernel's reply to one request. Without `end`, the kernel did not acknowledge it. */
export interface Answer {
  readonly messages: readonly Message[];
  readonly end: Acknowledgement | undefined;
}

/**
 * A netlink socket of one namespace. It is opened inside and stays there, so requests need no setns. Requests
 * run in place: the kernel replies within the call, in microseconds. Requests that take milliseconds use
 * {@link NetlinkSocket.longRequest}.
 */
export interface NetlinkSocket {
  readonly namespace: NetworkNamespace;
  /**
   * Sends one request and reads its acknowledgement. Error messages start with `action` ("create veth
   * nsm-1").
   */
  request(action: string, request: Request): Promise<readonly Message[]>;
  /** Like `request`, but from a pool thread. The event loop and other requests continue meanwhile. */
  longRequest(action: string, request: Request): Promise<readonly Message[]>;
  /** Sends a request with many reply messages. Repeats it if the kernel's list changed meanwhile. */
  dump(action: string, request: Request): Promise<readonly Message[]>;
  /**
   * Sends several messages at once and returns the kernel's reply to each, in order. Does not throw if the
   * kernel rejects one. Large batches are sent from a pool thread. A `quiet` request is acknowledged only if
   * it fails.
   */
  batch(action: string, requests: readonly Request[]): Promise<readonly Answer[]>;
  /** Closes the socket. Closing the namespace closes it too. */
  close(): void;
}

/** Opens a netlink socket inside a namespace: `netlinkSocket(lab, NETLINK_ROUTE)`. */
export function netlinkSocket(namespace: NetworkNamespace, protocol: number): NetlinkSocket {
  const socket = new Socket(namespace, openNetlink(namespace, protocol));
  namespace.onClose(() => socket.close());
  return socket;
}

/** Creates the error for a rejected request. Uses the kernel's own message if there is one. */
export function netlinkRefusal(action: string, namespace: NetworkNamespace, end: Acknowledgement): NsmError {
  const errno = errnoName(end.errno);
  const where = `cannot ${action} in ${namespace.name}`;
  if (errno === "EPERM") return refusal(errno, `${where}: ${remedyFor("CAP_NET_ADMIN")}`);
  const near = end.near === undefined ? "" : ` at "${end.near}"`;
  const why = (end.text ? `${end.text} (${errno})` : errnoText(errno)) + near;
  // Here EACCES is not about privileges. The kernel returns it, for example, if IPv6 is disabled on a link.
  if (errno === "EACCES") return new NsmError(Code.FailedPrecondition, `${where}: ${why}`);
  return refusal(errno, `${where}: ${why}`);
}

interface OpenAnswer {
  readonly sent: Buffer;
  readonly messages: Message[];
  end: Acknowledgement | undefined;
}

class Socket implements NetlinkSocket {
  #sequence = 0;
  /** Replies still being collected. A read can also return the reply to an earlier long request. */
  readonly #open = new Map<number, OpenAnswer>();
  #onPool = 0;
  #closed = false;

  constructor(
    readonly namespace: NetworkNamespace,
    private readonly fd: number,
  ) {}

  async request(action: string, request: Request): Promise<readonly Message[]> {
    const [answer] = this.#exchange(action, [request]);
    return this.#succeeded(action, answer);
  }

  async longRequest(action: string, request: Request): Promise<readonly Message[]> {
    const [answer] = await this.#exchangeOnPool(action, [request]);
    return this.#succeeded(action, answer);
  }

  async dump(action: string, request: Request): Promise<readonly Message[]> {
    for (let attempt = 1; ; attempt++) {
      const [answer] = this.#exchange(
        action,
        [{ ...request, flags: request.flags | NLM_F_DUMP }],
        endsByItself,
      );
      const messages = this.#succeeded(action, answer);
      if (!messages.some(({ flags }) => flags & NLM_F_DUMP_INTR)) return messages;
      if (attempt === dumpAttempts) {
        throw new NsmError(
          Code.Unavailable,
          `cannot ${action} in ${this.namespace.name}: the list changed during each of ${attempt} reads`,
        );
      }
    }
  }

  async batch(action: string, requests: readonly Request[]): Promise<readonly Answer[]> {
    const loud = ({ quiet }: Request) => !quiet;
    return requests.length > shortBatch
      ? this.#exchangeOnPool(action, requests, loud)
      : this.#exchange(action, requests, loud);
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  /** Closes the descriptor, but not while a pool thread uses it. */
  #release(): void {
    if (!this.#closed || this.#onPool > 0 || this.#released) return;
    this.#released = true;
    closeSync(this.fd);
  }
  #released = false;

  #exchange(action: string, requests: readonly Request[], acknowledged = always): Answer[] {
    const { sequences, data } = this.#prepare(action, requests, acknowledged);
    if (libc().send(this.fd, data, data.length, 0) < 0) {
      const errno = errnoName(libc().errno());
      for (const sequence of sequences) this.#open.delete(sequence);
      throw refusal(errno, `cannot ${action} in ${this.namespace.name}: ${errnoText(errno)}`);
    }
    return this.#collect(action, sequences);
  }

  #exchangeOnPool(action: string, requests: readonly Request[], acknowledged = always): Promise<Answer[]> {
    return onPool(async () => {
      const { sequences, data } = this.#prepare(action, requests, acknowledged);
      this.#onPool++;
      try {
        // The pool thread's errno is lost. A failed send has no acknowledgement either.
        await libc().sendAsync(this.fd, data, data.length, 0);
        return this.#collect(action, sequences);
      } finally {
        this.#onPool--;
        this.#release();
      }
    });
  }

  #prepare(action: string, requests: readonly Request[], acknowledged = always) {
    this.#mustBeOpen(action);
    const sequences: number[] = [];
    const messages = requests.map((request) => {
      this.#sequence = (this.#sequence + 1) >>> 0;
      sequences.push(this.#sequence);
      const flags = request.flags | (acknowledged(request) ? NLM_F_ACK : 0);
      const sent = encodeMessage({ ...request, flags }, this.#sequence);
      this.#open.set(this.#sequence, { sent, messages: [], end: undefined });
      return sent;
    });
    return { sequences, data: Buffer.concat(messages) };
  }

  /** Never waits: the kernel queues its reply within the send call, and continues a dump within recv. */
  #collect(action: string, sequences: readonly number[]): Answer[] {
    const answers = sequences.map((sequence) => this.#open.get(sequence)!);
    try {
      while (answers.some(({ end }) => !end) && this.#readOnce(action));
      return answers;
    } finally {
      for (const sequence of sequences) this.#open.delete(sequence);
    }
  }

  /** Assigns the next datagram to the open replies. Returns false if there is none. */
  #readOnce(action: string): boolean {
    const length = libc().recv(this.fd, received, received.length, MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0) {
      const errno = errnoName(libc().errno());
      if (errno === "EAGAIN") return false;
      throw refusal(errno, `cannot ${action} in ${this.namespace.name}: ${errnoText(errno)}`);
    }
    if (length > received.length) {
      throw new NsmError(Code.Internal, `a netlink answer of ${length} bytes exceeds ${received.length}`);
    }
    for (const message of decodeMessages(Buffer.from(received.subarray(0, length)))) {
      const answer = this.#open.get(message.sequence);
      if (!answer || answer.end) continue; // left over from a request that was aborted
      answer.end = acknowledgement(message, answer.sent);
      if (!answer.end) answer.messages.push(message);
    }
    return true;
  }

  #mustBeOpen(action: string): void {
    if (!this.#closed) return;
    throw new NsmError(Code.FailedPrecondition, `cannot ${action}: ${this.namespace.name} is already closed`);
  }

  #succeeded(action: string, answer: Answer | undefined): readonly Message[] {
    if (answer?.end?.errno === 0) return answer.messages;
    if (answer?.end) throw netlinkRefusal(action, this.namespace, answer.end);
    throw new NsmError(Code.Internal, `cannot ${action} in ${this.namespace.name}: the kernel sent no reply`);
  }
}

const always = (_request: Request): boolean => true;
/** A dump ends with its own acknowledgement. Requesting another one would leave it in the queue. */
const endsByItself = (_request: Request): boolean => false;

/** Each read is finished before the next one starts, so all sockets share one buffer. */
const received = Buffer.alloc(128 << 10);
