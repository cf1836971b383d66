import type { Observable } from "rxjs";
import type { Connection } from "../../api/index.js";
import { backoff, explain, log, sleep, type ConnectionEvents, type Context } from "../../core/index.js";
import type { HealBudget } from "./budget.js";
import { isAlive, type LivenessOptions, type Loss } from "./watch.js";

/** What a recovery works with. */
export interface RecoveryOptions {
  /** Lives as long as the element; its signal ends the recovery with the program. */
  readonly ctx: Context;
  readonly connection: Connection;
  readonly events: ConnectionEvents;
  readonly loss: Loss;
  readonly budget: HealBudget;
  readonly liveness: LivenessOptions | undefined;
  readonly wake: ((connection: Connection) => Observable<unknown>) | undefined;
  readonly random: () => number;
  /** Aborts when the connection was made again by somebody else. */
  readonly stopped: AbortSignal;
}

/** Waits between tries: short first, because somebody else may be ready, never longer than this. */
const BACKOFF = { initialMs: 20, maxMs: 2_000 };

/**
 * Tries until the connection stands again, is closed, or the program ends: asking the same endpoint anew while
 * the data plane is known to be alive, any endpoint otherwise.
 */
export async function recover(options: RecoveryOptions): Promise<void> {
  const { ctx, connection, events, budget, liveness, random } = options;
  const ended = AbortSignal.any([ctx.signal, events.closed, options.stopped]);
  const nextWait = backoff({ ...BACKOFF, random });
  let reselect = options.loss === "data plane" || !liveness;
  while (!ended.aborted) {
    try {
      await sleep(ctx.clock, budget.take(ctx.clock), ended);
      if (!reselect && liveness) reselect = !(await isAlive(ctx, liveness, connection));
      await events.request({ signal: ended, reselect });
      return;
    } catch (error) {
      if (ended.aborted) return;
      log(ctx).debug({ connection: connection.id, error: explain(error) }, "healing failed, trying again");
      await pause(options, nextWait(), ended);
    }
  }
}

/** Waits, but not longer than until something happens that may let the next try succeed. */
async function pause(
  { ctx, connection, wake }: RecoveryOptions,
  ms: number,
  ended: AbortSignal,
): Promise<void> {
  const woken = new AbortController();
  const subscription = wake?.(connection).subscribe({ next: () => woken.abort(), error: () => {} });
  try {
    await sleep(ctx.clock, ms, AbortSignal.any([ended, woken.signal]));
  } catch {
    // Ended or woken: the loop's condition tells which.
  } finally {
    subscription?.unsubscribe();
  }
}
