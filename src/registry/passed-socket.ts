import { resolve } from "node:path";
import type { NetworkServiceEndpoint } from "../api/index.js";
import { Code, NsmError, type Context, type TransportConnection } from "../core/index.js";
import { closeReceived } from "../linux/sockets/close-received.js";
import { fileId } from "../linux/sockets/file-id.js";
import { withFreshNumber } from "../linux/sockets/fresh-number.js";
import { unixPath } from "../wire/address.js";
import { DESCRIPTOR_WITHIN_MS, receiveDescriptor } from "../wire/index.js";

/** How many sockets keep their URLs when they come back. */
const MAX_REMEMBERED = 4_096;

/** The unix socket of an endpoint, received as a descriptor. */
export class PassedSocket {
  /** Address under which this process reaches the socket. */
  readonly url: string;
  private open = true;

  /** Takes ownership of the descriptor. */
  constructor(
    /** The name of the socket between peers: `inode://<device>/<inode>`. */
    readonly inodeUrl: string,
    readonly fd: number,
  ) {
    this.url = `unix:///proc/self/fd/${fd}`;
  }

  close(): void {
    if (this.open) closeReceived(this.fd);
    this.open = false;
  }
}

/** Receives the sockets of endpoints. A socket that comes back has the same URL as before. */
export class SocketReceiver {
  /** The numbers of the last sockets, by endpoint and inode, the oldest first. */
  private readonly numbers = new Map<string, number>();

  /**
   * Receives the socket that an endpoint's URL names. The caller closes it.
   *
   * @param limitMs - how long to wait for the descriptor
   * @throws NsmError FAILED_PRECONDITION if the connection carries no descriptors, UNAVAILABLE if none arrives in
   * time, INVALID_ARGUMENT if it is not a socket
   */
  async receive(
    ctx: Context,
    connection: TransportConnection | undefined,
    endpoint: NetworkServiceEndpoint,
    limitMs = DESCRIPTOR_WITHIN_MS,
  ): Promise<PassedSocket> {
    const { name, url } = endpoint;
    const received = await descriptorOf(ctx, connection, endpoint, limitMs);
    // Any file may have come, also one whose file server never answers.
    if (!fileId(received).isSocket) {
      closeReceived(received);
      throw new NsmError(Code.InvalidArgument, `${url} of endpoint ${name} is not a socket`);
    }
    const key = `${url} ${name}`;
    const before = this.numbers.get(key);
    const fd = withFreshNumber(received, before);
    this.numbers.delete(key);
    // If the number is not free, another call has just received the same socket.
    this.numbers.set(key, before ?? fd);
    for (const oldest of this.numbers.keys()) {
      if (this.numbers.size <= MAX_REMEMBERED) break;
      this.numbers.delete(oldest);
    }
    return new PassedSocket(url, fd);
  }
}

async function descriptorOf(
  ctx: Context,
  connection: TransportConnection | undefined,
  { name, url }: NetworkServiceEndpoint,
  limitMs: number,
): Promise<number> {
  const attachments = connection?.attachments;
  if (!attachments) {
    throw new NsmError(
      Code.FailedPrecondition,
      `endpoint ${name} has the URL ${url}, but the connection (${connection?.kind ?? "unknown"}) carries no descriptors: use a unix socket whose server has attachments, or let the endpoint listen on TCP`,
    );
  }
  const text = `the socket ${url} of endpoint ${name} did not arrive in time`;
  const late = (cause: unknown): NsmError => new NsmError(Code.Unavailable, text, { cause });
  return receiveDescriptor(ctx, attachments, url, { withinMs: limitMs, late });
}

/**
 * Rejects the path of a file that is another one in each process: under such a URL, a peer could make this process call
 * one of its own descriptors.
 *
 * @throws NsmError INVALID_ARGUMENT
 */
export function assertNoProcessFile({ name, url }: NetworkServiceEndpoint): void {
  if (!url.startsWith("unix:")) return;
  const path = resolve(unixPath(url, "dial")!);
  if (!/^\/(proc|dev\/(fd|std(in|out|err)))(\/|$)/.test(path)) return;
  throw new NsmError(
    Code.InvalidArgument,
    `the URL "${url}" of endpoint ${name} leads to ${path}, which differs between processes: expected the path of a socket file`,
  );
}
