import type { Socket } from "node:net";
import { Server as GrpcServer, type ConnectionInjector, type ServerOptions } from "@grpc/grpc-js";
import { Code, silent, systemClock, type Clock, type DebugState, type Logger } from "../core/index.js";
import type { Identity } from "../identity/index.js";
import { CallConnections, noteAccepted } from "./accepted.js";
import { GrpcCalls } from "./grpc-calls.js";
import { handlersOf } from "./handlers.js";
import { HealthBook } from "./health.js";
import { listen, type Listener, type OnConnection } from "./listener.js";
import type { Services } from "./services.js";

/** What to serve, where, and as whom. */
export interface GrpcServerOptions {
  readonly identity: Identity;
  /** `tcp://host:port`, `tcp://:port`, `unix:///path`; port 0 takes a free one. */
  readonly listenOn: readonly string[];
  /** The services, or what makes them once the real addresses are known. */
  readonly services: Services | ((listenOn: readonly string[]) => Services);
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** How long `close` lets calls finish, in milliseconds; default five seconds. */
  readonly graceMs?: number;
}

/** A server that serves until it is closed. */
export interface Server {
  /** The real addresses, in the order asked for. */
  readonly listenOn: readonly string[];
  /** What health says about a service, by full name; without a name, about the whole. */
  setServing(service: string, serving: boolean): void;
  /** Stops listening, ends streams, lets calls finish for a while, then breaks what is left. */
  close(): Promise<void>;
  /** The calls and streams under way. */
  debugState(): DebugState;
}

const DEFAULT_GRACE_MS = 5_000;

const SERVER_OPTIONS: ServerOptions = { "grpc.enable_channelz": 0 };

/** After how long without traffic the kernel asks whether a client is still there. */
const TCP_KEEPALIVE_MS = 15_000;

/**
 * Serves over gRPC, with `grpc.health.v1` beside what is given. Each call gets a Context that ends with its
 * caller and its deadline and knows who calls; what the services throw goes to the caller as code and sentence.
 *
 * When the identity's certificate changes, clients are told to connect anew (GOAWAY) while their calls finish.
 *
 * @throws NsmError as listening does; nothing is left open then
 *
 * @example
 * const server = await grpcServer({
 *   identity: insecureIdentity(),
 *   listenOn: ["unix:///run/nse.sock", "tcp://127.0.0.1:0"],
 *   services: { networkService: chain(elements) },
 * });
 */
export async function grpcServer(options: GrpcServerOptions): Promise<Server> {
  const { identity, clock = systemClock, logger = silent, graceMs = DEFAULT_GRACE_MS } = options;
  const door = new Door();
  const listeners = await listenAll(options.listenOn, (socket, connection) => {
    noteAccepted(socket, connection);
    door.enter(socket);
  });
  const listenOn = listeners.map(({ url }) => url);
  const stopListening = (): Promise<unknown> => Promise.all(listeners.map((listener) => listener.close()));

  let services: Services;
  try {
    services = typeof options.services === "function" ? options.services(listenOn) : options.services;
  } catch (error) {
    const stopped = stopListening();
    door.breakAll();
    await stopped;
    throw error;
  }
  const handlers = handlersOf(services);
  const health = new HealthBook(handlers);
  const all = new Map([...handlers, ...health.handlers()]);
  const connections = new CallConnections();
  const calls = new GrpcCalls({ identity, clock, logger, handlers: all, connections });
  const grpc = new GrpcServer({ ...SERVER_OPTIONS, interceptors: [connections.interceptor] });
  calls.register(grpc);
  const open = (): void => door.open(grpc.createConnectionInjector(identity.serverCredentials()));
  open();
  const changes = identity.changes.subscribe(open);

  const shutDown = async (): Promise<void> => {
    changes.unsubscribe();
    health.setAll(false);
    const stopped = stopListening();
    calls.endStreams({ code: Code.Unavailable, details: "the server is shutting down" });
    // Without channelz, grpc-js does not know its sessions well enough to break them; their sockets are ours.
    grpc.tryShutdown(() => {});
    const cancelTimer = clock.after(graceMs, () => door.breakAll());
    await stopped;
    cancelTimer();
  };
  let closing: Promise<void> | undefined;
  return {
    listenOn,
    setServing: (service, serving) => health.set(service, serving),
    close: () => (closing ??= shutDown()),
    debugState() {
      const { unaryCount, streamCount } = calls;
      if (unaryCount + streamCount === 0) return {};
      return { inbound: { calls: unaryCount, streams: streamCount } };
    },
  };
}

async function listenAll(urls: readonly string[], onConnection: OnConnection): Promise<readonly Listener[]> {
  const tried = await Promise.allSettled(urls.map((url) => listen(url, onConnection)));
  const listeners = tried.filter((one) => one.status === "fulfilled").map(({ value }) => value);
  const failed = tried.find((one) => one.status === "rejected");
  if (failed) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw failed.reason;
  }
  return listeners;
}

/** Where connections come in: hands them to the generation of TLS that is in force. */
class Door {
  private readonly sockets = new Set<Socket>();
  private readonly early: Socket[] = [];
  private injector: ConnectionInjector | undefined;

  enter(socket: Socket): void {
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    // A client that vanished without a word must not keep its streams for ever.
    socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
    // Until gRPC has taken it over, nobody else would hear it fail.
    socket.on("error", () => socket.destroy());
    if (this.injector) this.injector.injectConnection(socket);
    else this.early.push(socket);
  }

  /** New connections go there; those of the one before are asked to leave when their calls are done. */
  open(injector: ConnectionInjector): void {
    this.injector?.destroy();
    this.injector = injector;
    for (const socket of this.early.splice(0)) injector.injectConnection(socket);
  }

  breakAll(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}
