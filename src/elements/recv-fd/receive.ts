import type { Mechanism } from "../../api/index.js";
import {
  Code,
  NsmError,
  type Attachments,
  type Context,
  type TransportConnection,
} from "../../core/index.js";
import { isInodeUrl, receiveDescriptor } from "../../wire/index.js";
import type { RequestFiles } from "../request-files/index.js";
import { inodeUrlIn } from "../request-files/mechanism-url.js";
import { assertIsNotMachine } from "./machine-namespace.js";
import { namespaceOf, type PeerNamespace } from "./peer-namespace.js";

/** The inode URLs in these mechanisms, each once. */
export function inodeUrlsIn(mechanisms: readonly (Mechanism | undefined)[]): readonly string[] {
  return [...new Set(mechanisms.map(inodeUrlIn))].filter(isInodeUrl);
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
  const { attachments, kind } = connection;
  const missing = urls.filter((url) => !to.files.received(url));
  if (!attachments || missing.length === 0) return;
  const own = namespaceOf(connection.process);
  try {
    for (const url of missing) {
      const isOwn = own?.inodeUrl === url;
      await receiveFile(ctx, { attachments, kind }, url, { ...to, own: isOwn ? own : undefined });
    }
  } finally {
    own?.close();
  }
}

/** A connection that carries descriptors. */
type Attachable = Pick<TransportConnection, "kind"> & { readonly attachments: Attachments };

async function receiveFile(
  ctx: Context,
  { attachments, kind }: Attachable,
  url: string,
  { files, withinMs, acceptsOwn, own }: Reception & { readonly own: PeerNamespace | undefined },
): Promise<void> {
  if (!own && kind !== "memory") assertIsNotMachine(url, acceptsOwn);
  const arrived = await ifArrived((signal) => attachments.receive(url, signal));
  const taken = arrived ?? (acceptsOwn ? own?.take() : undefined);
  const late = (): NsmError =>
    new NsmError(
      Code.Unavailable,
      `no descriptor for ${url} arrived within ${withinMs} ms: the peer must pass it on the same unix socket`,
    );
  const fd = taken ?? (await receiveDescriptor(ctx, attachments, url, { withinMs, late }));
  files.hold(url, fd, own?.path);
}

/** The descriptor if it has arrived already, as it does when the peer passes one. */
async function ifArrived(receive: (signal: AbortSignal) => Promise<number>): Promise<number | undefined> {
  const now = new AbortController();
  const arrived = receive(now.signal).catch(() => undefined);
  now.abort();
  return arrived;
}
