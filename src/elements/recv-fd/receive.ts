import { Parameter, type Mechanism } from "../../api/index.js";
import { Code, codeOf, NsmError, type Context, type TransportConnection } from "../../core/index.js";
import type { RequestFiles } from "../request-files/index.js";
import { assertIsNotMachine } from "./machine-namespace.js";
import { namespaceOf } from "./peer-namespace.js";

/**
 * How long to wait for a descriptor, in milliseconds. It is sent with the message that names it. A Go server may
 * send it a little later.
 */
export const WITHIN_MS = 5_000;

/** The inode URLs in these mechanisms, each once. */
export function inodeUrlsIn(mechanisms: readonly (Mechanism | undefined)[]): readonly string[] {
  const urls = mechanisms.map((mechanism) => mechanism?.parameters[Parameter.inodeUrl] ?? "");
  return [...new Set(urls)].filter((url) => url.startsWith("inode:"));
}

/** Where the files go, and how long to wait for each. */
export interface Reception {
  readonly files: RequestFiles;
  readonly withinMs: number;
  /** Whether the namespace that the peer lives in counts without a descriptor. */
  readonly acceptsOwn: boolean;
}

/**
 * Receives the files of these URLs from the other end of a connection.
 *
 * @throws NsmError UNAVAILABLE if a descriptor does not arrive, PERMISSION_DENIED if the file is the network
 * namespace of the machine and the peer does not live there, INVALID_ARGUMENT for a malformed URL
 */
export async function receiveFiles(
  ctx: Context,
  connection: TransportConnection,
  urls: readonly string[],
  to: Reception,
): Promise<void> {
  for (const url of urls) if (!to.files.received(url)) await receiveFile(ctx, connection, url, to);
}

async function receiveFile(
  ctx: Context,
  { attachments, process, kind }: TransportConnection,
  url: string,
  { files, withinMs, acceptsOwn }: Reception,
): Promise<void> {
  if (!attachments) return;
  const receive = (signal: AbortSignal): Promise<number> => attachments.receive(url, signal);
  const own = namespaceOf(process);
  try {
    const livesThere = own?.inodeUrl === url;
    if (!livesThere && kind !== "memory") assertIsNotMachine(url, acceptsOwn);
    const arrived = await ifArrived(receive);
    const taken = arrived ?? (livesThere && acceptsOwn ? own.take() : undefined);
    const fd = taken ?? (await arrival(ctx, url, receive, withinMs));
    files.hold(url, fd, livesThere ? own.path : undefined);
  } finally {
    own?.close();
  }
}

/** The descriptor if it has arrived already, as it does when the peer passes one. */
async function ifArrived(receive: (signal: AbortSignal) => Promise<number>): Promise<number | undefined> {
  const now = new AbortController();
  const arrived = receive(now.signal).catch(() => undefined);
  now.abort();
  return arrived;
}

async function arrival(
  ctx: Context,
  url: string,
  receive: (signal: AbortSignal) => Promise<number>,
  withinMs: number,
): Promise<number> {
  try {
    return await ctx.withTimeout(withinMs, (limited) => receive(limited.signal));
  } catch (error) {
    ctx.throwIfDone();
    if (codeOf(error) !== Code.DeadlineExceeded) throw error;
    throw new NsmError(
      Code.Unavailable,
      `no descriptor for ${url} arrived within ${withinMs} ms: the peer must pass it on the same unix socket`,
    );
  }
}
