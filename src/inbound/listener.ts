import { chmod, lstat, rmdir, unlink } from "node:fs/promises";
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { Code, NsmError, transportConnection, type TransportConnection } from "../core/index.js";
import { makeDirectory } from "../files/index.js";
import { attachable } from "../linux/index.js";
import { isLocalHost } from "../wire/index.js";
import { invalidAddress, unixPath } from "../wire/address.js";
import { isListening } from "./is-listening.js";

const TCP = /^tcp:\/\/(?:\[([0-9a-fA-F:.%\w]+)\]|([^:/[\]\s]*)):(\d+)$/;

/** After how long without traffic the kernel asks whether a client is still there. */
const TCP_KEEPALIVE_MS = 15_000;

/** A socket that takes connections. */
export interface Listener {
  /** The real address: a port 0 has become a number, and any address is written as none, `tcp://:5001`. */
  readonly url: string;
  /** Takes no more connections, and removes the socket file and the folders that were made for it. */
  close(): Promise<void>;
}

/** What connections can do. */
export interface ListenerOptions {
  /** Unix sockets pass descriptors. Default: false. */
  readonly attachments?: boolean | undefined;
}

/** Takes a connection: the socket, and who is at its other end. */
export type OnConnection = (socket: Duplex, connection: TransportConnection) => void;

/**
 * Listens on `tcp://host:port`, `tcp://:port` or `unix:///path`. For a unix socket its folder is created, a
 * socket that a dead process left there is replaced, and everybody on the machine may connect.
 *
 * Source: NSM protocol, URLs and listening.
 *
 * @throws NsmError INVALID_ARGUMENT for what is no such address or is on none of this machine's interfaces,
 * ALREADY_EXISTS when somebody else listens there, PERMISSION_DENIED, FAILED_PRECONDITION when the path is
 * a file that is no socket; each names the address
 */
export async function listen(
  url: string,
  onConnection: OnConnection,
  { attachments = false }: ListenerOptions = {},
): Promise<Listener> {
  const path = unixPath(url, "listen on");
  const accept = path === undefined ? acceptTcp : attachments ? acceptAttachable : acceptUnix;
  const server = createServer((socket) => onConnection(...accept(socket)));
  if (path === undefined) {
    const host = await bind(server, url, tcpAddress(url));
    const { port } = server.address() as AddressInfo;
    return { url: `tcp://${host}:${port}`, close: () => closed(server) };
  }
  let made: string | undefined;
  try {
    made = makeDirectory(dirname(path));
    await removeStale(url, path);
    await bind(server, url, { path });
    await chmod(path, 0o777);
  } catch (error) {
    await closed(server);
    await removeFolders(made, path);
    throw cannotListen(url, error);
  }
  return {
    url,
    async close() {
      const ended = closed(server);
      await removeFolders(made, path);
      await ended;
    },
  };
}

type Accepted = Parameters<OnConnection>;

function acceptUnix(socket: Socket): Accepted {
  return [socket, transportConnection({ kind: "unix", address: "unix", local: true })];
}

function acceptAttachable(socket: Socket): Accepted {
  const { stream, attachments } = attachable(socket) ?? { stream: socket };
  return [stream, transportConnection({ kind: "unix", address: "unix", local: true, attachments })];
}

function acceptTcp(socket: Socket): Accepted {
  // Without keep-alive, the streams of a client that vanished would stay open.
  socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
  // Read now: the kernel has no address for a socket that has been closed.
  const { remoteAddress, remotePort } = socket;
  const address = remoteAddress === undefined ? "unknown" : `${remoteAddress}:${remotePort}`;
  return [socket, transportConnection({ kind: "tcp", address, local: isLocalHost(remoteAddress ?? "") })];
}

/**
 * Checks an address to listen on without listening there.
 *
 * @throws NsmError INVALID_ARGUMENT for what is no address to listen on
 */
export function assertListenUrl(url: string): void {
  if (unixPath(url, "listen on") === undefined) tcpAddress(url);
}

/** Removes the folders from the socket's up to the first one that was made, as far as nothing else is in them. */
async function removeFolders(made: string | undefined, path: string): Promise<void> {
  if (made === undefined) return;
  for (let folder = dirname(path); folder.length >= made.length; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      // Somebody else uses it by now, or has removed it: then it is theirs.
      return;
    }
  }
}

function tcpAddress(url: string): ListenOptions & { readonly text: string } {
  const [, v6, name, port] = TCP.exec(url) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw invalidAddress(url, "listen on", "it must be tcp://host:port, tcp://:port or unix:///path");
  }
  const host = v6 ?? name ?? "";
  const any = host === "" || host === "0.0.0.0" || host === "::";
  return { port: Number(port), text: any ? "" : v6 ? `[${v6}]` : host, ...(host !== "" && { host }) };
}

function bind(
  server: Server,
  url: string,
  options: ListenOptions & { readonly text?: string },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => reject(cannotListen(url, error));
    server.once("error", refused);
    server.listen(options, () => {
      server.removeListener("error", refused);
      resolve(options.text ?? "");
    });
  });
}

/** A socket file that nobody listens on any more is in the way of the next one. */
async function removeStale(url: string, path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!found) return;
  if (!found.isSocket()) {
    throw new NsmError(Code.FailedPrecondition, `cannot listen on ${url}: there is a file that is no socket`);
  }
  if (await isListening(path)) throw inUse(url);
  await unlink(path);
}

function cannotListen(url: string, error: unknown): NsmError {
  if (error instanceof NsmError) return error;
  switch ((error as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return inUse(url, error);
    case "EACCES":
    case "EPERM":
      return new NsmError(Code.PermissionDenied, `cannot listen on ${url}: not allowed`, { cause: error });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new NsmError(Code.InvalidArgument, `cannot listen on ${url}: this machine has no such address`, {
        cause: error,
      });
    default:
      return new NsmError(Code.FailedPrecondition, `cannot listen on ${url}`, { cause: error });
  }
}

function inUse(url: string, cause?: unknown): NsmError {
  return new NsmError(Code.AlreadyExists, `cannot listen on ${url}: the address is in use`, { cause });
}

function closed(server: Server): Promise<void> {
  // The callback waits for all connections; the socket itself is gone when this returns.
  return new Promise((resolve) => server.close(() => resolve()));
}
