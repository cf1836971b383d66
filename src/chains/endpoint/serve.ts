import { NetworkServiceEndpoint, NetworkServiceEntry, Payload } from "../../api/index.js";
import {
  Code,
  codeOf,
  Context,
  explain,
  logger as loggerKey,
  silent,
  systemClock,
  type Clock,
  type DebugState,
  type Elements,
  type Remotes,
  type Logger,
  type MonitorConnection,
  type NetworkService,
  type RequestedAgain,
  type TraceHook,
} from "../../core/index.js";
import type { Identity } from "../../identity/index.js";
import { grpcServer } from "../../inbound/index.js";
import { grpcRemotes } from "../../outbound/index.js";
import { sendFd } from "../../registry/elements/send-fd/index.js";
import { Waiting } from "../../registry/waiting.js";
import { registryClient } from "../registry-client/index.js";
import { assertLists, assertTexts, assertTimeLimits } from "../options.js";
import { endpoint, type Endpoint } from "./endpoint.js";

/** Options of serveEndpoint(). */
export interface ServeEndpointOptions {
  /** Name of the endpoint, unique among all endpoints. It is registered under this name. */
  readonly name: string;
  /** Names of the network services that it provides. */
  readonly services: readonly string[];
  /** URL of the manager of this node: `unix:///var/lib/networkservicemesh/nsm.io.sock`, `tcp://127.0.0.1:5001`. */
  readonly connectTo: string;
  /** Addresses to listen on. The first one is registered. */
  readonly listenOn: readonly string[];
  readonly identity: Identity;
  /** The elements that are specific to this endpoint. Default: none. */
  readonly elements?: Elements<NetworkService> | undefined;
  /** A complete chain, such as that of forwarder(). It replaces `elements` and `monitorElements`. */
  readonly chain?: Endpoint | undefined;
  /** Elements before the monitor, for authorization and counting. Default: none. */
  readonly monitorElements?: Elements<MonitorConnection> | undefined;
  /** Labels by which matches select the endpoint, the same for each service. Default: none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Payload of the registered network services. Default: `ETHERNET`. */
  readonly payload?: string | undefined;
  /** Whether to register the network services too. Default: true. */
  readonly registerServices?: boolean | undefined;
  /** The transport of its calls, in both directions. Default: gRPC with `identity`. */
  readonly transport?: Transport | undefined;
  /** Cancels a start that still waits for its registration. After the start, use `close()`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Time limit for the registration, in milliseconds, before the start fails. `Infinity` waits for the manager.
   * Default: 15,000.
   */
  readonly registerWithinMs?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly trace?: TraceHook | undefined;
}

/** A transport between processes: its client and its server side. */
export interface Transport {
  readonly remotes: Remotes;
  serve(listenOn: readonly string[], services: Endpoint): Promise<Serving>;
}

/** A running server. */
export interface Serving {
  readonly listenOn: readonly string[];
  debugState(): DebugState;
  close(): Promise<void>;
}

/** A running and registered endpoint. */
export interface ServedEndpoint {
  readonly listenOn: readonly string[];
  debugState(): DebugState;
  /** See {@link Endpoint.replace}. */
  replace(elements: Elements<NetworkService>): Promise<RequestedAgain>;
  /** Unregisters the endpoint, then stops the server. */
  close(): Promise<void>;
}

/** Default time limit for the registration, in milliseconds. */
const REGISTER_WITHIN_MS = 15_000;
/** Time limit for the Unregister when the endpoint stops, in milliseconds. */
const UNREGISTER_WITHIN_MS = 2_000;

/**
 * Runs an endpoint: serves its chain, registers its network services and itself with the manager, and renews
 * the registration. A network service that belongs to another owner is not changed. While the manager does not
 * answer, the reason is logged.
 *
 * If it listens on a unix socket and calls the manager over one, it sends its socket to the manager as a
 * descriptor. The manager and the forwarders then need not see the path.
 *
 * @throws NsmError INVALID_ARGUMENT for an option with a value that is not allowed, or the failure of the server or the
 * registration. Everything is then released.
 *
 * @example
 * import { kernelServer, mechanismsServer, pointToPointIpam, serveEndpoint } from "nsm-sdk";
 *
 * const nse = await serveEndpoint({
 *   name: "nse-1",
 *   services: ["my-service"],
 *   connectTo,
 *   listenOn: ["tcp://127.0.0.1:0"],
 *   identity,
 *   elements: [pointToPointIpam({ prefixes: ["10.0.0.0/24"] }), mechanismsServer({ KERNEL: [kernelServer()] })],
 * });
 */
export async function serveEndpoint(options: ServeEndpointOptions): Promise<ServedEndpoint> {
  const { name, services, listenOn, connectTo, clock = systemClock, logger = silent } = options;
  const { registerWithinMs = REGISTER_WITHIN_MS } = options;
  assertTexts("serveEndpoint()", { name, connectTo });
  assertLists("serveEndpoint()", { services, listenOn });
  assertTimeLimits("serveEndpoint()", { registerWithinMs });
  const life = new AbortController();
  const own = options.transport ? undefined : grpcTransport(options);
  const { remotes, serve } = options.transport ?? own!;
  const ctx = Context.background({ signal: life.signal, clock }).with(loggerKey, logger);
  const waiting = new Waiting({ what: `the manager at ${connectTo}`, clock, logger });
  const stopped = (): void => {
    life.abort();
    own?.remotes.close();
  };
  const start = async () => {
    const chain = options.chain ?? ownChain(options, life.signal);
    const registry = registryClient({
      remotes,
      url: connectTo,
      until: life.signal,
      elements: {
        networkServices: [waiting.element()],
        endpoints: [waiting.element(), sendFd({ registryUrl: connectTo })],
      },
      trace: options.trace,
    });
    return { chain, registry, server: await serve(listenOn, chain) };
  };
  const { chain, registry, server } = await start().catch((error: unknown) => {
    stopped();
    throw error;
  });
  const entry = endpointEntry(options, server.listenOn[0]!);
  const unregister = async (withinMs: number): Promise<void> => {
    try {
      await ctx.withTimeout(withinMs, (c) => registry.endpoints.unregister(c, entry));
      logger.info({ endpoint: name }, "unregistered");
    } catch (error) {
      logger.warn({ error: explain(error) }, "could not unregister, the registration will expire");
    }
  };
  try {
    await ctx.withSignal(options.signal ?? life.signal, (c) =>
      within(registerWithinMs, c, async (limited) => {
        await registerServices(limited, options, registry.networkServices, logger);
        await registry.endpoints.register(limited, entry);
      }),
    );
    waiting.answered();
    logger.info({ endpoint: name, services, url: entry.url }, "registered");
  } catch (error) {
    waiting.stop();
    // A canceled Register may still have succeeded, with a late answer.
    if (options.signal?.aborted) await unregister(UNREGISTER_WITHIN_MS / 4);
    stopped();
    await server.close();
    throw error;
  }
  return {
    listenOn: server.listenOn,
    debugState: () => ({ ...chain.debugState(), ...registry.debugState(), ...server.debugState() }),
    replace: (elements) => chain.replace(elements),
    async close() {
      await unregister(UNREGISTER_WITHIN_MS);
      await server.close();
      stopped();
    },
  };
}

function ownChain(options: ServeEndpointOptions, until: AbortSignal): Endpoint {
  const { name, identity, elements = [], monitorElements, trace } = options;
  return endpoint({ name, tokens: identity.tokens, until, elements, monitorElements, trace });
}

function within<R>(ms: number, ctx: Context, work: (ctx: Context) => Promise<R>): Promise<R> {
  return ms === Infinity ? work(ctx) : ctx.withTimeout(ms, work);
}

/** gRPC with the endpoint's own identity. */
function grpcTransport({ identity, clock, logger }: ServeEndpointOptions): Transport {
  const remotes = grpcRemotes({ identity, ...(clock && { clock }) });
  return {
    remotes,
    serve: (listenOn, services) =>
      grpcServer({ identity, listenOn, services, ...(clock && { clock }), ...(logger && { logger }) }),
  };
}

function endpointEntry(options: ServeEndpointOptions, url: string): NetworkServiceEndpoint {
  const { name, services, labels = {} } = options;
  return NetworkServiceEndpoint.create({
    name,
    networkServiceNames: [...services],
    networkServiceLabels: Object.fromEntries(services.map((service) => [service, { labels }])),
    url,
  });
}

async function registerServices(
  ctx: Context,
  { services, payload = Payload.Ethernet, registerServices: enabled = true }: ServeEndpointOptions,
  registry: ReturnType<typeof registryClient>["networkServices"],
  logger: Logger,
): Promise<void> {
  if (!enabled) return;
  for (const name of services) {
    try {
      await registry.register(ctx, NetworkServiceEntry.create({ name, payload }));
    } catch (error) {
      if (codeOf(error) !== Code.PermissionDenied && codeOf(error) !== Code.AlreadyExists) throw error;
      logger.info({ service: name }, "the network service belongs to another owner and is not changed");
    }
  }
}
