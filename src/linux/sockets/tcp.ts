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

/** Where to connect to, and from which namespace. */
export interface ConnectOptions extends WaitOptions, Endpoint {
  readonly namespace: NetworkNamespace;
  /** The address to connect from; one of the namespace. */
  readonly from?: string | undefined;
}

/**
 * A TCP connection that begins in a namespace. (`net.connect` inside `run()` would open its socket a tick
 * later, at home.) The caller destroys it.
 *
 * @throws NsmError UNAVAILABLE when refused, FAILED_PRECONDITION when there is no way or a filter said so,
 * DEADLINE_EXCEEDED when nothing answered; an abort throws the signal's reason.
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

/** What became of an attempt to connect. */
export type TcpOutcome = "open" | "refused" | "unreachable" | "timeout";

/**
 * Tries to connect from within a namespace and hangs up at once: "refused" when the host says that nobody
 * listens there, "unreachable" when there is no way or a filter says so, "timeout" when nothing answers.
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

/** A connected descriptor, or the errno the attempt ended in; neither when nothing answered. */
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
 * A server that listens in a namespace; port 0 takes a free one (`server.address()` tells it). It is a
 * `net.Server` like any other, and the caller closes it.
 *
 * @throws NsmError ALREADY_EXISTS when the port is taken, INVALID_ARGUMENT when no link has the address.
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

/** A listener that takes whatever comes and counts it. */
export interface TcpListener extends Endpoint {
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Stops listening and hangs up on everybody. */
  close(): Promise<void>;
}

/**
 * Listens in a namespace, for tests and demonstrations; what is sent to it comes back.
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
    socket.on("error", () => socket.destroy()); // whoever probes hangs up as it likes
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

/** "" once connected, else the errno that the attempt ended in. */
function socketError(fd: number): string {
  const [value, length] = [Buffer.alloc(4), Buffer.of(4, 0, 0, 0)];
  check("getsockopt", libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length));
  const errno = value.readInt32LE();
  return errno === 0 ? "" : errnoName(errno);
}

/** Undefined for what is no outcome but a fault of this machine, such as no memory. */
function outcomeOf(errno: string | undefined): TcpOutcome | undefined {
  if (errno === undefined || errno === "ETIMEDOUT") return "timeout";
  if (errno === "ECONNREFUSED" || errno === "ECONNRESET") return "refused";
  const noWay = ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EPERM", "ENETDOWN", "ENOPROTOOPT"].includes(errno);
  return noWay ? "unreachable" : undefined;
}
