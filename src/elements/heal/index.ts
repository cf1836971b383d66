/**
 * Rebuilds a connection when something on its road dies. It watches the next hop's monitor (control plane) and,
 * with a liveness check, whether packets pass (data plane), over all refreshes. After a loss it asks again until
 * the connection stands, with growing pauses and within a budget of the process:
 *
 * - It requests the same endpoint before it closes anything. It keeps a connection that carries packets while a
 *   manager, a forwarder or a registry is away, and every connection while the next hop is away.
 * - It gives up an endpoint that is gone or that packets do not reach, and requests any other: see Patience.
 * - If a connection is lost soon after it was rebuilt, the pauses continue to grow.
 *
 * Only the client at the edge heals; all other hops forward the events. Client side. After begin and
 * connection-state, before dial. Reads `connectionEvents` and the slot `nextRemote`. Marks its Requests, which shows for
 * each event whether it is about the current connection or an earlier one.
 *
 * @example
 * import { chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 * import { heal } from "nsm-sdk/elements/heal";
 * import { monitorHub } from "nsm-sdk/elements/monitor";
 *
 * const hub = monitorHub({ scope: "connection", until });
 * chain([
 *   updatePath({ name }),
 *   beginClient(),
 *   connectionState(),
 *   heal({ hub, until }),
 *   dial({ remotes }),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import type { Observable } from "rxjs";
import { connectionOf, currentSegment, type Connection } from "../../api/index.js";
import {
  connectionEvents,
  Context,
  log,
  logger,
  Slot,
  type NetworkServiceElement,
} from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { markRequest, requestMark, restoreMark, type DownCause, type MonitorHub } from "../monitor/index.js";
import { nextRemote } from "../dial/index.js";
import { HealBudget } from "./budget.js";
import { Recoveries } from "./recoveries.js";
import { recover } from "./recovery.js";
import { Watch, type Answered, type LivenessOptions, type Loss } from "./watch.js";

export { HealBudget, type HealBudgetOptions } from "./budget.js";
export { kernelLiveness, type KernelLivenessOptions } from "./kernel-liveness.js";
export type { LivenessCheck, LivenessOptions, Loss } from "./watch.js";

/** How heal() watches and tries. */
export interface HealOptions {
  readonly hub: MonitorHub;
  /** Ends all watching and healing: the program's life. */
  readonly until: AbortSignal;
  /** Checks the data plane too. Default: heal does not know whether packets pass. */
  readonly liveness?: LivenessOptions | undefined;
  /**
   * How long to request a lost endpoint again while its interface still answers, and an endpoint behind a lost hop
   * without a liveness check, in milliseconds. Default: 3,000.
   */
  readonly keepEndpointMs?: number | undefined;
  /** Emits when trying again at once is worth it: an endpoint of the connection's service was registered. */
  readonly wake?: ((connection: Connection) => Observable<unknown>) | undefined;
  /** Shared by the elements of a process. Default: 100 tries at once, then 200 a second. */
  readonly budget?: HealBudget | undefined;
  /** Called when healing begins. The cause is set if a hop reported one. */
  readonly onHealing?: ((connection: Connection, loss: Loss, cause?: DownCause) => void) | undefined;
  readonly random?: (() => number) | undefined;
}

/** See the module's description. */
export function heal(options: HealOptions): NetworkServiceElement {
  const { hub, until, liveness, budget = new HealBudget(), random = Math.random } = options;
  const slot = new Slot<Watch>("heal", { release: (watch) => stop(watch) });
  const watches = new Set<Watch>();
  const recoveries = new Recoveries(random);

  const startRecovery = (ctx: Context, lost: Answered, loss: Loss, cause?: DownCause): void => {
    const { connection, events } = lost;
    log(ctx).info({ connection: connection.id, loss, cause }, "healing");
    options.onHealing?.(connection, loss, cause);
    const { stop, ...waits } = recoveries.begin(connection.id, ctx.clock.now());
    const { keepEndpointMs = 3_000, wake } = options;
    const plan = {
      ...lost,
      ...waits,
      loss,
      cause,
      budget,
      liveness,
      wake,
      keepEndpointMs,
      stopped: stop.signal,
    };
    void recover(ctx, plan).finally(() => {
      recoveries.ended(connection.id, stop);
      if (events.closed.aborted) recoveries.forget(connection.id);
    });
  };

  const newWatch = (ctx: Context): Watch => {
    const own = Context.background({ signal: until, clock: ctx.clock }).with(logger, ctx.get(logger));
    const watch = new Watch({
      ctx: own,
      hub,
      liveness,
      onLoss: (...lost) => startRecovery(own, ...lost),
    });
    watches.add(watch);
    slot.set(ctx, watch);
    return watch;
  };

  function stop(watch: Watch | undefined): void {
    watch?.stop();
    if (watch) watches.delete(watch);
  }
  atEnd(until, () => {
    watches.forEach(stop);
    recoveries.clear();
  });

  return {
    name: "heal",
    inside: ["begin", "connection-state"],
    outside: ["dial"],
    provides: [slot],
    debugState: () => ({ watches: watches.size, recoveries: recoveries.running, healed: recoveries.size }),

    async request(ctx, request, next) {
      const wanted = connectionOf(request);
      const asked = markRequest(wanted);
      const watch = slot.get(ctx);
      watch?.requestBegins();
      let connection: Connection;
      try {
        connection = await next.request(ctx, { ...request, connection: asked });
      } catch (error) {
        watch?.requestFails();
        throw error;
      }
      recoveries.stands(connection.id, ctx.clock.now());
      const remote = nextRemote.get(ctx);
      const events = ctx.get(connectionEvents);
      if (remote && events && !until.aborted)
        (watch ?? newWatch(ctx)).stands({
          connection,
          remote,
          events,
          mark: requestMark(currentSegment(asked)),
        });
      return restoreMark(connection, wanted);
    },

    async close(ctx, connection, next) {
      // Our own Close is no loss.
      stop(slot.get(ctx));
      // The Close of a reselect is none for good.
      if (ctx.get(connectionEvents)?.closed.aborted) recoveries.forget(connection.id);
      await next.close(ctx, connection);
    },
  };
}
