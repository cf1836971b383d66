import { randomUUID } from "node:crypto";
import type { Observable } from "rxjs";
import {
  Connection,
  Mechanism,
  MechanismClass,
  MechanismType,
  NetworkServiceRequest,
  Parameter,
  pathOf,
  type PathSegment,
} from "../../api/index.js";
import {
  Code,
  codeOf,
  Context,
  explain,
  isRetryable,
  logger as loggerKey,
  NsmError,
  silent,
  systemClock,
  type Clock,
  type DebugState,
  type Elements,
  type Logger,
  type NetworkService,
  type Remotes,
  type TraceHook,
} from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { clientInfo } from "../../elements/client-info/index.js";
import { connectionLog } from "../../elements/connection-log/index.js";
import type { HealOptions } from "../../elements/heal/index.js";
import { kernelClient } from "../../elements/mechanisms/kernel/index.js";
import { namespaceUrl } from "../../elements/mechanisms/kernel/namespace-url.js";
import { retry } from "../../elements/retry/index.js";
import type { Identity } from "../../identity/index.js";
import { grpcRemotes, type GrpcRemotes } from "../../outbound/index.js";
import { Waiting } from "../../registry/waiting.js";
import { assertTexts, assertTimeLimits } from "../options.js";
import { client } from "./client.js";
import { endpointWatch } from "./endpoint-watch.js";
import { backgroundClock, holdProcess } from "./process-life.js";
import { ServiceEvents, withoutTokens, type ServiceEvent } from "./service-events.js";

/** Options of connectService(). */
export interface ConnectServiceOptions {
  /** Name of this process in the path. */
  readonly name: string;
  /** Name of the network service: `firewall`, or `firewall@example.org` in another domain. */
  readonly service: string;
  /** URL of the manager of this node: `unix:///var/lib/networkservicemesh/nsm.io.sock`, `tcp://127.0.0.1:5001`. */
  readonly connectTo: string;
  readonly identity: Identity;
  /**
   * The connection's id, unique among the connections of `name`. A process that passes the same id after a restart
   * takes over its connection. Default: random.
   */
  readonly id?: string | undefined;
  /** Labels by which the service's matches select the endpoint. Default: none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Name of the kernel interface. Default: derived from the service's name. */
  readonly interfaceName?: string | undefined;
  /**
   * Path of the interface's network namespace, such as `/run/netns/blue`. Default: the namespace of this
   * process.
   */
  readonly netns?: string | undefined;
  /**
   * The mechanism to request. A mechanism other than KERNEL needs its own client in `elements`. Default:
   * KERNEL.
   */
  readonly mechanism?: Mechanism | undefined;
  /** Elements before the mechanism. Default: none. */
  readonly elements?: Elements<NetworkService> | undefined;
  /**
   * Options of heal(), or `false` to disable it. `liveness` also checks the data plane. Default: control plane
   * only.
   */
  readonly heal?: Partial<Omit<HealOptions, "until">> | false | undefined;
  /** Time limit of one try, in milliseconds. Default: 15,000. */
  readonly tryTimeoutMs?: number | undefined;
  /** The remotes of other processes. close() does not close them. Default: gRPC with `identity`. */
  readonly remotes?: Remotes | undefined;
  /** The lifetime of the program. When it ends, no Close is sent, and the connection expires. */
  readonly until?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly trace?: TraceHook | undefined;
}

/** A connection that is established, refreshed and healed until it is closed. */
export interface ServiceConnection {
  readonly id: string;
  /**
   * The events of the connection. A late subscriber receives the last event first. Completes after the last
   * event; never fails.
   */
  readonly events: Observable<ServiceEvent>;
  /** Resolves when the connection is usable for the first time. Rejects if it cannot be established. */
  readonly established: Promise<Connection>;
  /** Resolves when the connection has ended, for any reason. Never rejects. */
  readonly closed: Promise<void>;
  /** The answer of the last successful Request. Undefined before `established` and after `closed`. */
  readonly connection: Connection | undefined;
  /** The hops of `connection`, this process first, without their tokens. */
  readonly path: readonly PathSegment[];
  /** Resources currently held, for tests and diagnostics. */
  debugState(): DebugState;
  /**
   * Sends a Close and releases everything that connectService() created. Before `established` it cancels the
   * Request. Repeated calls return the same promise.
   *
   * @throws NsmError the failure of the Close. Everything is then released too, and the connection expires.
   */
  close(): Promise<void>;
}

/** How long to retry a Close, because a hop may be restarting. */
const CLOSE_WITHIN_MS = 5_000;

/**
 * Connects to a network service: requests the connection until it is established, then refreshes it and heals
 * it until `close()`. A permanent failure ends it, and `established` rejects. NOT_FOUND is retried, because the
 * service may be registered later.
 *
 * An established connection does not keep the Node process alive. A pending Request and `close()` do.
 *
 * @throws NsmError INVALID_ARGUMENT for an option with a value that is not allowed, FAILED_PRECONDITION for
 * `elements` in an invalid order. What happens later is reported by `established` and `events`.
 *
 * @example
 * import { connectService, explain, fileIdentity } from "nsm-sdk";
 *
 * const identity = await fileIdentity("/run/identity");
 * const firewall = connectService({
 *   name: "nsc-0",
 *   service: "firewall",
 *   connectTo: "unix:///var/lib/networkservicemesh/nsm.io.sock",
 *   identity,
 *   interfaceName: "nsm-1",
 * });
 * firewall.events.subscribe((event) => {
 *   if (event.type === "failed") console.error(explain(event.error));
 *   else console.log(event.type, firewall.path.map(({ name }) => name).join(" -> "));
 * });
 * const { context } = await firewall.established;
 * console.log(context?.ipContext?.srcIpAddrs);
 * process.once("SIGTERM", () => void firewall.close().finally(() => identity.close()));
 */
export function connectService(options: ConnectServiceOptions): ServiceConnection {
  const { name, service, connectTo, identity, clock, tryTimeoutMs } = options;
  assertTexts("connectService()", { name, service, connectTo });
  assertTimeLimits("connectService()", { tryTimeoutMs });
  if (options.remotes) return connectOver(options.remotes, options);
  const own = grpcRemotes({ identity, clock, background: true });
  try {
    return connectOver(own, options, own);
  } catch (error) {
    own.close();
    throw error;
  }
}

/** Connects over `remotes`. Closes its `own` ones at the end. */
function connectOver(remotes: Remotes, options: ConnectServiceOptions, own?: GrpcRemotes): ServiceConnection {
  const { name, service, connectTo, clock = systemClock, logger = silent } = options;
  const id = options.id ?? `${name}-${randomUUID()}`;
  const requested = Connection.create({ id, networkService: service, labels: { ...options.labels } });
  const life = new AbortController();
  const ctx = Context.background({ signal: life.signal, clock: backgroundClock(clock) }).with(
    loggerKey,
    logger,
  );
  const report = new ServiceEvents(requested);
  const wake = endpointWatch(ctx, remotes.to(connectTo).endpoints, service);
  const chain = client({
    name,
    url: connectTo,
    remotes,
    until: life.signal,
    trace: options.trace,
    elements: [
      report.element(),
      connectionLog(),
      clientInfo(),
      options.elements ?? [],
      wantsKernel(options) ? kernelClient({ inodeUrl: namespaceUrl(options.netns) }) : [],
    ],
    heal: options.heal !== false && {
      ...options.heal,
      wake: options.heal?.wake ?? (() => wake),
      onHealing(connection, loss, cause) {
        report.lost(connection, loss, cause);
        if (options.heal) options.heal.onHealing?.(connection, loss, cause);
      },
      onFailure(connection, error) {
        if (!canceled.signal.aborted) report.failed(error, true);
        if (options.heal) options.heal.onFailure?.(connection, error);
      },
    },
  });
  const watch = wake.subscribe();
  const waiting = new Waiting({ what: `connection ${id} to ${service}`, clock: ctx.clock, logger });
  const canceled = new AbortController();
  const networkService = retry(
    reportFailures(chain.networkService, (error) => {
      if (canceled.signal.aborted || life.signal.aborted) return;
      report.failed(error, isRetryable(codeOf(error)));
      waiting.failed(error);
    }),
    { tryTimeoutMs: options.tryTimeoutMs },
  );

  let over!: () => void;
  const closed = new Promise<void>((resolve) => (over = resolve));
  let forget = (): void => {};
  const end = (reason?: unknown): void => {
    if (life.signal.aborted) return;
    forget();
    life.abort(reason);
    waiting.stop();
    watch.unsubscribe();
    own?.close();
    report.end();
    over();
  };

  const request = NetworkServiceRequest.create({
    connection: requested,
    mechanismPreferences: [preference(options)],
  });
  const established = holdProcess(ctx.withSignal(canceled.signal, (c) => networkService.request(c, request)));
  // A caller may use only the events.
  established.then(() => waiting.stop(), end);
  if (options.until) forget = atEnd(options.until, () => end(options.until!.reason));

  const closeOnce = async (): Promise<void> => {
    canceled.abort(new NsmError(Code.Cancelled, `connection ${id} is being closed`));
    try {
      // `established` and the events have already reported the failure.
      const first = await established.catch(() => undefined);
      if (!first || life.signal.aborted) return;
      const connection = report.connection ?? first;
      // The resources of a dead endpoint are gone with it, and the earlier hops forget the connection at the
      // first try.
      const endpointLost = report.hasLostEndpoint;
      const closer = endpointLost ? chain.networkService : networkService;
      await ctx
        .detached((c) => closer.close(c, connection), CLOSE_WITHIN_MS)
        .catch((error: unknown) => {
          if (!endpointLost || !isRetryable(codeOf(error))) throw error;
          const text = "closed without the endpoint, which had been lost";
          logger.warn({ connection: id, error: explain(error) }, text);
        });
      report.closed();
    } catch (error) {
      report.failed(error, false);
      throw error;
    } finally {
      end();
    }
  };
  let closing: Promise<void> | undefined;

  return {
    id,
    events: report.subject.asObservable(),
    established,
    closed,
    get connection() {
      return report.connection;
    },
    get path() {
      return report.connection ? pathOf(withoutTokens(report.connection)).pathSegments : [];
    },
    debugState: () => ({ ...chain.debugState(), ...own?.debugState() }),
    close: () => (closing ??= holdProcess(closeOnce())),
  };
}

function wantsKernel({ mechanism }: ConnectServiceOptions): boolean {
  return mechanism === undefined || mechanism.type === MechanismType.Kernel;
}

function preference({ mechanism, interfaceName }: ConnectServiceOptions): Mechanism {
  if (mechanism) return mechanism;
  return Mechanism.create({
    cls: MechanismClass.Local,
    type: MechanismType.Kernel,
    parameters: interfaceName === undefined ? {} : { [Parameter.name]: interfaceName },
  });
}

function reportFailures(service: NetworkService, onFailure: (error: unknown) => void): NetworkService {
  return {
    async request(ctx, request) {
      try {
        return await service.request(ctx, request);
      } catch (error) {
        onFailure(error);
        throw error;
      }
    },
    close: (ctx, connection) => service.close(ctx, connection),
  };
}
