import { chmod, lstat, rmdir, unlink } from "node:fs/promises";
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { Code, NsmError, type TransportConnection } from "../core/index.js";
import { transportConnection } from "../core/transport-connection.js";
import { makeDirectory } from "../files/index.js";
import { attachable } from "../linux/sockets/attachments.js";
import { isLocalHost } from "../wire/index.js";
import { invalidAddress, unixPath } from "../wire/address.js";
import { isListening } from "./is-listening.js";

const TCP = /^tcp:\/\/(?:\[([0-9a-fA-F:.%\w]+)\]|([^:/[\]\s]*)):(\d+)$/;

/** Idle time after which the kernel probes whether a client is still there. */
const TCP_KEEPALIVE_MS = 15_000;

/** A listening socket. */
export interface Listener {
  /** The actual address. Port 0 is replaced by the real port; a wildcard host is omitted: `tcp://:5001`. */
  readonly url: string;
  /** Stops accepting connections. Removes the socket file and the folders that `listen` created. */
  close(): Promise<void>;
}

/** Options of the connections. */
export interface ListenerOptions {
  /** Whether unix sockets pass descriptors. Default: true. */
  readonly attachments?: boolean | undefined;
}

/** Receives an accepted connection: its socket, and a description of its other end. */
export type OnConnection = (socket: Duplex, connection: TransportConnection) => void;

/**
 * Listens on `tcp://host:port`, `tcp://:port` or `unix:///path`. For a unix socket, it creates the folder,
 * replaces a socket that a dead process left, and lets every user of the machine connect.
 *
 * Source: NSM protocol, URLs and listening.
 *
 * @throws NsmError, with the address in its message: INVALID_ARGUMENT if the address is malformed or not on
 * an interface of this machine, ALREADY_EXISTS if another process listens there, PERMISSION_DENIED,
 * FAILED_PRECONDITION if the path is a file other than a socket
 */
export async function listen(
  url: string,
  onConnection: OnConnection,
  { attachments = true }: ListenerOptions = {},
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
  const { stream, ...channel } = attachable(socket) ?? { stream: socket };
  return [stream, transportConnection({ kind: "unix", address: "unix", local: true, ...channel })];
}

function acceptTcp(socket: Socket): Accepted {
  // Without keep-alive, the streams of a vanished client would stay open.
  socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
  // Read it now: the kernel has no address for a closed socket.
  const { remoteAddress, remotePort } = socket;
  const address = remoteAddress === undefined ? "unknown" : `${remoteAddress}:${remotePort}`;
  return [socket, transportConnection({ kind: "tcp", address, local: isLocalHost(remoteAddress ?? "") })];
}

/**
 * Checks an address without listening on it.
 *
 * @throws NsmError INVALID_ARGUMENT if the address is not one to listen on
 */
export function assertListenUrl(url: string): void {
  if (unixPath(url, "listen on") === undefined) tcpAddress(url);
}

/**
 * Removes the folders that `listen` created, from the socket's folder upwards, unless they hold other files.
 */
async function removeFolders(made: string | undefined, path: string): Promise<void> {
  if (made === undefined) return;
  for (let folder = dirname(path); folder.length >= made.length; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      // Another process uses or removed the folder. It now belongs to that process.
      return;
    }
  }
}

function tcpAddress(url: string): ListenOptions & { readonly text: string } {
  const [, v6, name, port] = TCP.exec(url) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw invalidAddress(url, "listen on", "expected tcp://host:port, tcp://:port or unix:///path");
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

/** Removes the socket file of a process that no longer listens. */
async function removeStale(url: string, path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!found) return;
  if (!found.isSocket()) {
    throw new NsmError(Code.FailedPrecondition, `cannot listen on ${url}: the path is a file, not a socket`);
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
      return new NsmError(
        Code.InvalidArgument,
        `cannot listen on ${url}: the address is not on this machine`,
        {
          cause: error,
        },
      );
    default:
      return new NsmError(Code.FailedPrecondition, `cannot listen on ${url}`, { cause: error });
  }
}

function inUse(url: string, cause?: unknown): NsmError {
  return new NsmError(Code.AlreadyExists, `cannot listen on ${url}: the address is already in use`, {
    cause,
  });
}

function closed(server: Server): Promise<void> {
  // The callback waits for all connections. The listening socket itself is closed when `close` returns.
  return new Promise((resolve) => server.close(() => resolve()));
}
