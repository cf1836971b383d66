import type { Observable } from "rxjs";
import type { Connection } from "../../api/index.js";
import { backoff, explain, log, sleep, type ConnectionEvents, type Context } from "../../core/index.js";
import type { HealBudget } from "./budget.js";
import { isAlive, type LivenessOptions, type Loss } from "./watch.js";

/** What a recovery works with. */
export interface RecoveryOptions {
  readonly connection: Connection;
  readonly events: ConnectionEvents;
  readonly loss: Loss;
  readonly budget: HealBudget;
  readonly liveness: LivenessOptions | undefined;
  readonly wake: ((connection: Connection) => Observable<unknown>) | undefined;
  readonly keepEndpointMs: number;
  readonly random: () => number;
  /** Aborts when the connection was made again by somebody else. */
  readonly stopped: AbortSignal;
}

/** Waits between tries: short first, because somebody else may be ready, never longer than this. */
const BACKOFF = { initialMs: 20, maxMs: 2_000 };

/**
 * Tries until the connection stands again, is closed, or `ctx` (the program) ends: asking the same endpoint
 * anew while the data plane is known to be alive, but not for ever; any endpoint otherwise.
 */
export function recover(ctx: Context, options: RecoveryOptions): Promise<void> {
  return ctx.withSignal(options.events.closed, (open) =>
    open.withSignal(options.stopped, (wanted) => tryUntilItStands(wanted, options)),
  );
}

async function tryUntilItStands(ctx: Context, options: RecoveryOptions): Promise<void> {
  const { connection, events, budget, liveness, random } = options;
  const { signal, clock } = ctx;
  const nextWait = backoff({ ...BACKOFF, random });
  const keepUntil = clock.now() + options.keepEndpointMs;
  let reselect = options.loss === "data plane" || !liveness;
  while (!signal.aborted) {
    try {
      const waitMs = budget.take(clock);
      if (waitMs > 0) await sleep(clock, waitMs, signal);
      if (!reselect && liveness) {
        reselect = clock.now() >= keepUntil || !(await isAlive(ctx, liveness, connection));
      }
      await events.request({ signal, reselect });
      return;
    } catch (error) {
      if (signal.aborted) return;
      log(ctx).debug({ connection: connection.id, error: explain(error) }, "healing failed, trying again");
      await pause(ctx, options, nextWait());
    }
  }
}

/** Waits, but not longer than until something happens that may let the next try succeed. */
async function pause(ctx: Context, { connection, wake }: RecoveryOptions, ms: number): Promise<void> {
  const woken = new AbortController();
  const wakeUp = (): void => woken.abort();
  // A wake-up call that breaks is a reason to look as well.
  const subscription = wake?.(connection).subscribe({ next: wakeUp, error: wakeUp });
  try {
    await ctx.withSignal(woken.signal, (c) => sleep(ctx.clock, ms, c.signal));
  } catch {
    // Woken or not wanted any more: the caller's loop looks which.
  } finally {
    subscription?.unsubscribe();
  }
}
