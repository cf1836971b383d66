/**
 * Rebuilds a connection when a hop on its path fails. It watches the monitor of the next hop (control plane)
 * and, with a liveness check, whether packets pass (data plane). Both watches continue across refreshes. After
 * a loss, it retries until the connection is established, with growing delays and within a budget of the
 * process:
 *
 * - It requests the same endpoint before it closes anything. It keeps a connection that carries packets while a
 *   manager, a forwarder or a registry is unreachable, and every connection while the next hop is unreachable.
 * - It selects another endpoint if the endpoint is gone or packets do not reach it: see Patience.
 * - If a connection is lost soon after it was rebuilt, the delays continue to grow.
 *
 * Only the client at the edge heals; all other hops forward the events. Client side. After begin and
 * connection-state, before dial. Reads `connectionEvents` and the slot `nextRemote`. heal() marks its Requests,
 * so that each event shows whether it is about the current connection or an earlier one.
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
import { type DownCause, type MonitorHub } from "../monitor/index.js";
import { markRequest, requestMark, restoreMark } from "../monitor/marks.js";
import { nextRemote } from "../dial/index.js";
import { HealBudget } from "./budget.js";
import { Recoveries } from "./recoveries.js";
import { recover } from "./recovery.js";
import { Watch, type Answered, type LivenessOptions, type Loss } from "./watch.js";

export { HealBudget, type HealBudgetOptions } from "./budget.js";
export { kernelLiveness, type KernelLivenessOptions } from "./kernel-liveness.js";
export type { LivenessCheck, LivenessOptions, Loss } from "./watch.js";

/** Options of heal(). */
export interface HealOptions {
  readonly hub: MonitorHub;
  /** The lifetime of the program. Ends all watches and recoveries. */
  readonly until: AbortSignal;
  /** Checks the data plane. Default: heal() checks only the control plane. */
  readonly liveness?: LivenessOptions | undefined;
  /**
   * How long to keep requesting a lost endpoint while its interface still answers, in milliseconds. Without a
   * liveness check, it also applies to an endpoint behind a lost hop. Default: 3,000.
   */
  readonly keepEndpointMs?: number | undefined;
  /**
   * Emits when an immediate retry may succeed, for example when an endpoint of the connection's service
   * registers.
   */
  readonly wake?: ((connection: Connection) => Observable<unknown>) | undefined;
  /**
   * The budget that all heal() elements of a process share. Default: 100 attempts at once, then 200 per second.
   */
  readonly budget?: HealBudget | undefined;
  /** Called when a recovery starts. `cause` is set if a hop reported one. */
  readonly onHealing?: ((connection: Connection, loss: Loss, cause?: DownCause) => void) | undefined;
  /**
   * Called when a recovery could not rebuild the connection and waits before it tries again, as often as that
   * happens. `error` is why the last try failed, or why the next hop does not answer.
   */
  readonly onFailure?: ((connection: Connection, error: unknown) => void) | undefined;
  readonly random?: (() => number) | undefined;
}

/** Creates the element. See the module description. */
export function heal(options: HealOptions): NetworkServiceElement {
  const { hub, until, liveness, budget = new HealBudget(), random = Math.random } = options;
  const slot = new Slot<Watch>("heal", { release: (watch) => stop(watch) });
  const watches = new Set<Watch>();
  const recoveries = new Recoveries(random);

  const startRecovery = (ctx: Context, lost: Answered, loss: Loss, cause?: DownCause): void => {
    const { connection, events } = lost;
    log(ctx).info({ connection: connection.id, loss, cause }, "healing");
    undisturbed(() => options.onHealing?.(connection, loss, cause));
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
      onFailure: (error: unknown) => undisturbed(() => options.onFailure?.(connection, error)),
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
      // The Close of this process is not a loss.
      stop(slot.get(ctx));
      // After the Close of a reselect, the recovery continues.
      if (ctx.get(connectionEvents)?.closed.aborted) recoveries.forget(connection.id);
      await next.close(ctx, connection);
    },
  };
}

/** Runs a callback of the caller. What it throws becomes an uncaught exception and does not end the recovery. */
function undisturbed(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}
