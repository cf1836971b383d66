import { Server as GrpcServer, ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import { Code, silent, systemClock, type Clock, type DebugState, type Logger } from "../core/index.js";
import type { Identity } from "../identity/index.js";
import { admission } from "./admission.js";
import { CallConnections } from "./call-connections.js";
import { ConnectionAcceptor } from "./connection-acceptor.js";
import { GrpcCalls } from "./grpc-calls.js";
import { handlersOf } from "./handlers.js";
import { HealthStates } from "./health.js";
import { completeLimits, type InboundLimits } from "./limits.js";
import { listen, type Listener, type OnConnection } from "./listener.js";
import { PeerAccounts } from "./peer-accounts.js";
import { RefusalLog } from "./refusals.js";
import type { Services } from "./services.js";

/** Services to serve, addresses to listen on, and the identity of the server. */
export interface GrpcServerOptions {
  readonly identity: Identity;
  /** Addresses: `tcp://host:port`, `tcp://:port` or `unix:///path`. Port 0 selects a free port. */
  readonly listenOn: readonly string[];
  /** The services, or a function that creates them when the actual addresses are known. */
  readonly services: Services | ((listenOn: readonly string[]) => Services);
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  /** How long `close` lets calls finish, in milliseconds. Default: 5,000. */
  readonly graceMs?: number | undefined;
  /** How much its clients may occupy. */
  readonly limits?: InboundLimits | undefined;
  /**
   * Whether unix sockets pass descriptors. Handlers find the descriptors in `peer.connection`. Where the
   * platform cannot pass descriptors, calls arrive without them. Calls over such a socket cost more: disable
   * it for services that need none, such as a registry of a domain. Default: true.
   */
  readonly attachments?: boolean | undefined;
}

/** A running server. */
export interface Server {
  /** The actual addresses, in the order of the option `listenOn`. */
  readonly listenOn: readonly string[];
  /** Sets the health state of a service, by full name. An empty name stands for the whole server. */
  setServing(service: string, serving: boolean): void;
  /**
   * Stops listening, ends streams, waits `graceMs` for calls to finish, then breaks the remaining
   * connections.
   */
  close(): Promise<void>;
  /** Calls and streams in progress. */
  debugState(): DebugState;
}

const DEFAULT_GRACE_MS = 5_000;

/**
 * Serves over gRPC, and adds `grpc.health.v1`. Each call gets a Context that ends with its caller and its
 * deadline and carries the caller's identity. An error that a service throws reaches the caller as code and
 * message.
 *
 * When the identity's certificate changes, or a bundle loses an authority that is still valid, the server sends
 * GOAWAY: clients reconnect while their calls finish.
 *
 * @throws NsmError if an address cannot be listened on, like `listen`; nothing stays open
 *
 * @example
 * import { chain, insecureIdentity } from "nsm-sdk";
 * import { grpcServer } from "nsm-sdk/inbound";
 *
 * const server = await grpcServer({
 *   identity: insecureIdentity(),
 *   listenOn: ["unix:///run/nse.sock", "tcp://127.0.0.1:0"],
 *   services: { networkService: chain(elements) },
 * });
 */
export async function grpcServer(options: GrpcServerOptions): Promise<Server> {
  const { identity, clock = systemClock, logger = silent, graceMs = DEFAULT_GRACE_MS } = options;
  const limits = completeLimits(options.limits);
  const accounts = new PeerAccounts();
  const refusals = new RefusalLog(logger, clock);
  const acceptor = new ConnectionAcceptor({ identity, limits, accounts, refusals });
  const listeners = await listenAll(options, (url) => (socket, connection) => {
    acceptor.accept(socket, connection, url);
  });
  const listenOn = listeners.map(({ url }) => url);
  const stopListening = (): Promise<unknown> => Promise.all(listeners.map((listener) => listener.close()));

  let services: Services;
  try {
    services = typeof options.services === "function" ? options.services(listenOn) : options.services;
  } catch (error) {
    const stopped = stopListening();
    acceptor.close();
    acceptor.destroyAll();
    await stopped;
    throw error;
  }
  const handlers = handlersOf(services);
  const health = new HealthStates(handlers);
  const all = new Map([...handlers, ...health.handlers()]);
  const connections = new CallConnections();
  const calls = new GrpcCalls({ identity, clock, logger, handlers: all, connections, accounts });
  const admit = admission({
    identity,
    accounts,
    refusals,
    connectionOf: (call) => connections.of(call),
    limits,
  });
  const serverOptions: ServerOptions = {
    "grpc.enable_channelz": 0,
    "grpc.max_concurrent_streams": limits.streamsPerConnection,
    "grpc.max_receive_message_length": limits.messageBytes,
    "grpc.max_connection_idle_ms": limits.idleMs,
    interceptors: [connections.interceptor, admit],
  };
  const grpc = new GrpcServer(serverOptions);
  calls.register(grpc);
  // The acceptor handles TLS: gRPC receives plain HTTP/2.
  const useNewInjector = (): void =>
    acceptor.forwardTo(grpc.createConnectionInjector(ServerCredentials.createInsecure()));
  useNewInjector();
  const changes = identity.changes.subscribe(useNewInjector);

  const shutDown = async (): Promise<void> => {
    changes.unsubscribe();
    health.setAll(false);
    const stopped = Promise.all([stopListening(), acceptor.empty()]);
    acceptor.close();
    calls.endStreams({ code: Code.Unavailable, details: "the server is shutting down" });
    // Without channelz, grpc-js cannot break its own sessions. The acceptor owns their sockets and closes
    // them.
    grpc.tryShutdown(() => {});
    const cancelTimer = clock.after(graceMs, () => acceptor.destroyAll());
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

async function listenAll(
  { listenOn: urls, attachments }: GrpcServerOptions,
  onConnectionTo: (url: string) => OnConnection,
): Promise<readonly Listener[]> {
  const tried = await Promise.allSettled(
    urls.map((url) => listen(url, onConnectionTo(url), { attachments })),
  );
  const listeners = tried.filter((one) => one.status === "fulfilled").map(({ value }) => value);
  const failed = tried.find((one) => one.status === "rejected");
  if (failed) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw failed.reason;
  }
  return listeners;
}
