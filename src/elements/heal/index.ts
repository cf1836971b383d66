/**
 * Rebuilds a connection when something on its road dies. After each good Request it watches: the next hop's
 * monitor (control plane) and, with a liveness check, whether packets pass (data plane). After a loss it asks
 * again until the connection stands: for the same endpoint while packets still pass, for a while; for any
 * endpoint otherwise. With growing pauses and within a budget of the process.
 *
 * Only the client at the edge heals; all other hops pass the news on. Client side. After begin and
 * connection-state, before dial. Reads `connectionEvents` and the slot `peerLink`.
 *
 * @example
 * const hub = monitorHub({ scope: "connection", until });
 * chain([updatePath({ name }), beginClient(), connectionState(), heal({ hub, until }), dial({ links }), connectClient()]);
 *
 * @packageDocumentation
 */
import type { Observable } from "rxjs";
import { connectionOf, type Connection } from "../../api/index.js";
import {
  connectionEvents,
  Context,
  log,
  logger,
  Slot,
  type ConnectionEvents,
  type NetworkServiceElement,
} from "../../core/index.js";
import type { MonitorHub } from "../../outbound/index.js";
import { peerLink } from "../dial/index.js";
import { HealBudget } from "./budget.js";
import { recover } from "./recovery.js";
import { Watch, type LivenessOptions, type Loss } from "./watch.js";

export { HealBudget, type HealBudgetOptions } from "./budget.js";
export { kernelLiveness, type KernelLivenessOptions } from "./kernel-liveness.js";
export type { LivenessCheck, LivenessOptions, Loss } from "./watch.js";

/** How heal() watches and tries. */
export interface HealOptions {
  readonly hub: MonitorHub;
  /** Ends all watching and healing: the program's life. */
  readonly until: AbortSignal;
  /** Asks the data plane too. Without it a lost control plane means another endpoint. */
  readonly liveness?: LivenessOptions;
  /**
   * How long the same endpoint is asked for while packets still pass, 3,000 when left out. An endpoint whose
   * process is dead may leave an interface behind that answers for ever.
   */
  readonly keepEndpointMs?: number;
  /** Emits when trying again at once is worth it: an endpoint of the connection's service was registered. */
  readonly wake?: (connection: Connection) => Observable<unknown>;
  /** Shared by the elements of a process; 100 tries at once, then 200 a second, when left out. */
  readonly budget?: HealBudget;
  /** Called when a loss was noticed and healing begins. */
  readonly onHealing?: (connection: Connection, loss: Loss) => void;
  readonly random?: () => number;
}

/** See the module's description. */
export function heal(options: HealOptions): NetworkServiceElement {
  const { hub, until, liveness, budget = new HealBudget(), random = Math.random } = options;
  // Changed in place: a refresh that fails does not bring an earlier watch back.
  const watch = new Slot<{ current: Watch | undefined }>("heal", {
    release: ({ current }) => stopWatch(current),
  });
  const watches = new Set<Watch>();
  // A recovery outlives the slots: its own reselect closes the connection, and with it what was remembered.
  const recoveries = new Map<string, AbortController>();

  const startRecovery = (
    ctx: Context,
    events: ConnectionEvents,
    connection: Connection,
    loss: Loss,
  ): void => {
    log(ctx).info({ connection: connection.id, loss }, "healing");
    options.onHealing?.(connection, loss);
    const stop = new AbortController();
    recoveries.set(connection.id, stop);
    const recovery = {
      connection,
      events,
      loss,
      budget,
      liveness,
      wake: options.wake,
      keepEndpointMs: options.keepEndpointMs ?? 3_000,
      random,
      stopped: stop.signal,
    };
    void recover(ctx, recovery).finally(() => {
      if (recoveries.get(connection.id) === stop) recoveries.delete(connection.id);
    });
  };

  const startWatch = (ctx: Context, connection: Connection): void => {
    const link = peerLink.get(ctx);
    const events = ctx.get(connectionEvents);
    if (!link || !events || until.aborted) return;
    const own = Context.background({ signal: until, clock: ctx.clock }).with(logger, ctx.get(logger));
    const started = new Watch({
      ctx: own,
      connection,
      link,
      hub,
      liveness,
      onLoss: (loss) => {
        watches.delete(started);
        startRecovery(own, events, connection, loss);
      },
    });
    watches.add(started);
    const known = watch.get(ctx);
    if (known) known.current = started;
    else watch.set(ctx, { current: started });
    started.start();
  };

  const stopWatch = (stopped: Watch | undefined): void => {
    stopped?.stop();
    if (stopped) watches.delete(stopped);
  };
  until.addEventListener("abort", () => watches.forEach(stopWatch), { once: true });

  return {
    name: "heal",
    inside: ["begin", "connection-state"],
    outside: ["dial"],
    provides: [watch],
    debugState: () => ({ watches: watches.size, recoveries: recoveries.size }),

    async request(ctx, request, next) {
      const before = watch.get(ctx)?.current;
      const watched = before !== undefined && !before.isOver;
      stopWatch(before);
      let response: Connection;
      try {
        response = await next.request(ctx, request);
      } catch (error) {
        // A refresh that fails says nothing about the connection that stands: go on watching it.
        if (watched) startWatch(ctx, connectionOf(request));
        throw error;
      }
      recoveries.get(response.id)?.abort();
      recoveries.delete(response.id);
      startWatch(ctx, response);
      return response;
    },

    async close(ctx, connection, next) {
      stopWatch(watch.get(ctx)?.current);
      await next.close(ctx, connection);
    },
  };
}
