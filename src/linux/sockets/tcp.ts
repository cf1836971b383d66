import { once } from "node:events";
import { closeSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { Code, NsmError } from "../../core/index.js";
import { SOCK_STREAM, SOL_SOCKET } from "../constants.js";
import { errnoName, errnoText } from "../errno.js";
import { check, libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";
import { bindSocket, type Endpoint, openSocket, owning, socketAddress } from "./open.js";
import { type WaitOptions, until } from "./until.js";

const SO_REUSEADDR = 2;
const SO_ERROR = 4;

/** Target of a connection, and the namespace to connect from. */
export interface ConnectOptions extends WaitOptions, Endpoint {
  readonly namespace: NetworkNamespace;
  /** The address to connect from; one of the namespace. */
  readonly from?: string | undefined;
}

/**
 * Opens a TCP connection from a namespace. (`net.connect` inside `run()` would open its socket one tick
 * later, outside.) The caller destroys the socket.
 *
 * @throws NsmError UNAVAILABLE if refused, FAILED_PRECONDITION if there is no route or a filter rejects it,
 * DEADLINE_EXCEEDED without an answer; an abort throws the signal's reason
 * @example
 * import { connectIn } from "nsm-sdk/linux";
 *
 * const socket = await connectIn({ namespace: namespaces.client, host: "172.16.1.100", port: 80 });
 * socket.end("hello");
 */
export async function connectIn(options: ConnectOptions): Promise<Socket> {
  const { namespace, host, port } = options;
  const { fd, errno } = await attempt(options);
  if (fd !== undefined) return new Socket({ fd });
  const [outcome, why] = [outcomeOf(errno), errno === undefined ? "no answer" : errnoText(errno)];
  const code = outcome === undefined ? Code.Internal : codes[outcome];
  throw new NsmError(code, `cannot connect to ${host} port ${port} from ${namespace.name}: ${why}`);
}

/** Result of a connection attempt. */
export type TcpOutcome = "open" | "refused" | "unreachable" | "timeout";

/**
 * Connects from a namespace and disconnects at once. Returns "refused" if no process listens there,
 * "unreachable" if there is no route or a filter rejects it, "timeout" without an answer.
 *
 * @example
 * import { tcpConnect } from "nsm-sdk/linux";
 *
 * const outcome = await tcpConnect({
 *   namespace: namespaces.client,
 *   host: "172.16.1.100",
 *   port: 80,
 *   timeoutMs: 500,
 * }); // "open"
 */
export async function tcpConnect(options: ConnectOptions): Promise<TcpOutcome> {
  const { fd, errno } = await attempt(options);
  if (fd !== undefined) {
    closeSync(fd);
    return "open";
  }
  const outcome = outcomeOf(errno);
  if (outcome !== undefined) return outcome;
  throw new NsmError(Code.Internal, `cannot connect to ${options.host}: ${errnoText(errno ?? "")}`);
}

const codes = {
  open: Code.Ok,
  refused: Code.Unavailable,
  unreachable: Code.FailedPrecondition,
  timeout: Code.DeadlineExceeded,
} as const;

/** Returns a connected descriptor, the errno of the attempt, or neither if there was no answer. */
async function attempt(options: ConnectOptions): Promise<{ fd?: number; errno?: string | undefined }> {
  const { namespace, host, port, from } = options;
  const fd = openSocket(namespace, host, SOCK_STREAM);
  return owning(fd, async () => {
    if (from !== undefined) bindSocket(fd, { host: from, port: 0 }, namespace);
    const address = socketAddress({ host, port });
    if (libc().connect(fd, address, address.length) === 0) return { fd };
    const begun = errnoName(libc().errno());
    const errno =
      begun === "EINPROGRESS" ? await until(fd, { writable: true }, () => socketError(fd), options) : begun;
    if (errno === "") return { fd };
    closeSync(fd);
    return { errno };
  });
}

/**
 * Creates a server that listens in a namespace. Port 0 selects a free port (see `server.address()`). The
 * result is an ordinary `net.Server`; the caller closes it.
 *
 * @throws NsmError ALREADY_EXISTS if the port is in use, INVALID_ARGUMENT if no link has the address
 * @example
 * import { listenIn } from "nsm-sdk/linux";
 *
 * const server = await listenIn(namespaces.endpoint, { host: "::", port: 8080 }, (socket) =>
 *   socket.end("hello"),
 * );
 */
export async function listenIn(
  namespace: NetworkNamespace,
  { host, port }: Endpoint,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  const fd = openSocket(namespace, host, SOCK_STREAM);
  await owning(fd, () => {
    check("setsockopt", libc().setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, Buffer.of(1, 0, 0, 0), 4));
    bindSocket(fd, { host, port }, namespace);
  });
  const server = createServer(onConnection);
  const listening = once(server, "listening");
  server.listen({ fd }); // the descriptor is the server's from here on
  await listening;
  return server;
}

/** A listener that accepts and counts connections. */
export interface TcpListener extends Endpoint {
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Stops listening and closes all connections. */
  close(): Promise<void>;
}

/**
 * Listens in a namespace and echoes all data. For tests and demonstrations.
 *
 * @example
 * import { tcpListen } from "nsm-sdk/linux";
 *
 * const web = await tcpListen({ namespace: namespaces.endpoint, host: "172.16.1.100", port: 80 });
 * console.log(web.accepted);
 * await web.close();
 */
export async function tcpListen(options: Endpoint & { namespace: NetworkNamespace }): Promise<TcpListener> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = await listenIn(options.namespace, options, (socket) => {
    accepted++;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy()); // a probe may close at any time
    socket.pipe(socket);
  });
  const { port } = server.address() as { port: number };
  return {
    host: options.host,
    port,
    get accepted() {
      return accepted;
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Returns "" if connected, otherwise the errno of the attempt. */
function socketError(fd: number): string {
  const [value, length] = [Buffer.alloc(4), Buffer.of(4, 0, 0, 0)];
  check("getsockopt", libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length));
  const errno = value.readInt32LE();
  return errno === 0 ? "" : errnoName(errno);
}

/** Returns undefined for local failures, such as out of memory. */
function outcomeOf(errno: string | undefined): TcpOutcome | undefined {
  if (errno === undefined || errno === "ETIMEDOUT") return "timeout";
  if (errno === "ECONNREFUSED" || errno === "ECONNRESET") return "refused";
  const noWay = ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EPERM", "ENETDOWN", "ENOPROTOOPT"].includes(errno);
  return noWay ? "unreachable" : undefined;
}
