import { randomUUID } from "node:crypto";
import type { Observable, Subscription } from "rxjs";
import { Connection, NetworkServiceRequest, pathOf, type PathSegment } from "../../api/index.js";
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
  type DebugState,
  type Logger,
  type NetworkService,
  type Remotes,
} from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { clientInfo } from "../../elements/client-info/index.js";
import { connectionLog } from "../../elements/connection-log/index.js";
import type { HealOptions } from "../../elements/heal/index.js";
import { retry } from "../../elements/retry/index.js";
import type { GrpcRemotes } from "../../outbound/index.js";
import { Waiting } from "../../registry/waiting.js";
import { client, type Client } from "./client.js";
import { mechanismClient, offeredMechanism, type ConnectServiceOptions } from "./connect-options.js";
import { endpointWatch } from "./endpoint-watch.js";
import { backgroundClock, holdProcess } from "./process-life.js";
import { ServiceEvents, withoutTokens, type ServiceEvent } from "./service-events.js";

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

/** The connection of one connectService(), from its first Request to its end. */
export class RunningConnection implements ServiceConnection {
  readonly id: string;
  readonly events: Observable<ServiceEvent>;
  readonly established: Promise<Connection>;
  readonly closed: Promise<void>;
  private readonly life = new AbortController();
  /** Aborts when close() begins. */
  private readonly closing = new AbortController();
  private readonly ctx: Context;
  private readonly logger: Logger;
  private readonly report: ServiceEvents;
  private readonly waiting: Waiting;
  private readonly wake: Observable<unknown>;
  private readonly watch: Subscription;
  private readonly chain: Client;
  private readonly retried: NetworkService;
  private resolveClosed!: () => void;
  private stopFollowing = (): void => {};
  private closeResult: Promise<void> | undefined;

  /** @param own - remotes that are closed at the end */
  constructor(
    private readonly options: ConnectServiceOptions,
    remotes: Remotes,
    private readonly own: GrpcRemotes | undefined,
  ) {
    const { name, service, connectTo, tryTimeoutMs, until } = options;
    const clock = backgroundClock(options.clock ?? systemClock);
    this.logger = options.logger ?? silent;
    this.id = options.id ?? `${name}-${randomUUID()}`;
    const connection = Connection.create({
      id: this.id,
      networkService: service,
      labels: { ...options.labels },
    });
    this.ctx = Context.background({ signal: this.life.signal, clock }).with(loggerKey, this.logger);
    this.report = new ServiceEvents(connection);
    this.events = this.report.subject.asObservable();
    this.wake = endpointWatch(this.ctx, remotes.to(connectTo).endpoints, service);
    this.chain = this.newChain(remotes);
    this.retried = retry(this.reportingFailures(this.chain.networkService), { tryTimeoutMs });
    this.watch = this.wake.subscribe();
    this.waiting = new Waiting({ what: `connection ${this.id} to ${service}`, clock, logger: this.logger });
    this.closed = new Promise((resolve) => (this.resolveClosed = resolve));

    const mechanismPreferences = [offeredMechanism(options)];
    const request = NetworkServiceRequest.create({ connection, mechanismPreferences });
    const { signal } = this.closing;
    const answered = this.ctx.withSignal(signal, (c) => this.retried.request(c, request));
    this.established = holdProcess(answered.then((answer) => this.connection ?? answer));
    // A caller may use only the events.
    this.established.then(
      () => this.waiting.stop(),
      (error: unknown) => this.end(error),
    );
    if (until) this.stopFollowing = atEnd(until, () => this.end(until.reason));
  }

  get connection(): Connection | undefined {
    return this.report.connection;
  }

  get path(): readonly PathSegment[] {
    return this.connection ? pathOf(withoutTokens(this.connection)).pathSegments : [];
  }

  debugState(): DebugState {
    return { ...this.chain.debugState(), ...this.own?.debugState() };
  }

  close(): Promise<void> {
    return (this.closeResult ??= holdProcess(this.closeAndEnd()));
  }

  private newChain(remotes: Remotes): Client {
    const { name, connectTo, trace, elements = [] } = this.options;
    return client({
      name,
      url: connectTo,
      remotes,
      until: this.life.signal,
      trace,
      elements: [
        this.report.element(),
        connectionLog(),
        clientInfo(),
        elements,
        mechanismClient(this.options),
      ],
      heal: this.options.heal !== false && this.healing(this.options.heal),
    });
  }

  /** The caller's options, and the reports of this connection. */
  private healing(own: Partial<HealOptions> = {}): Partial<HealOptions> {
    return {
      ...own,
      wake: own.wake ?? (() => this.wake),
      onHealing: (connection, loss, cause) => {
        this.report.lost(connection, loss, cause);
        own.onHealing?.(connection, loss, cause);
      },
      onFailure: (connection, error) => {
        if (!this.closing.signal.aborted) this.report.failed(error, true);
        own.onFailure?.(connection, error);
      },
    };
  }

  private reportingFailures(service: NetworkService): NetworkService {
    return {
      request: async (ctx, request) => {
        try {
          return await service.request(ctx, request);
        } catch (error) {
          if (!this.closing.signal.aborted && !this.life.signal.aborted) {
            this.report.failed(error, isRetryable(codeOf(error)));
            this.waiting.failed(error);
          }
          throw error;
        }
      },
      close: (ctx, connection) => service.close(ctx, connection),
    };
  }

  private async closeAndEnd(): Promise<void> {
    this.closing.abort(new NsmError(Code.Cancelled, `connection ${this.id} is being closed`));
    try {
      // `established` and the events have already reported the failure.
      const first = await this.established.catch(() => undefined);
      if (!first || this.life.signal.aborted) return;
      await this.sendClose(this.connection ?? first);
      this.report.closed();
    } catch (error) {
      this.report.failed(error, false);
      throw error;
    } finally {
      this.end();
    }
  }

  private async sendClose(connection: Connection): Promise<void> {
    // The resources of a dead endpoint are gone with it, and the earlier hops forget the connection at the first
    // try.
    const endpointLost = this.report.hasLostEndpoint;
    const service = endpointLost ? this.chain.networkService : this.retried;
    try {
      await this.ctx.detached((c) => service.close(c, connection), CLOSE_WITHIN_MS);
    } catch (error) {
      if (!endpointLost || !isRetryable(codeOf(error))) throw error;
      const text = "closed without the endpoint, which had been lost";
      this.logger.warn({ connection: this.id, error: explain(error) }, text);
    }
  }

  private end(reason?: unknown): void {
    if (this.life.signal.aborted) return;
    this.stopFollowing();
    this.life.abort(reason);
    this.waiting.stop();
    this.watch.unsubscribe();
    this.own?.close();
    this.report.end();
    this.resolveClosed();
  }
}
