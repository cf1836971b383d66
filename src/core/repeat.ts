import { sleep, type Clock } from "./clock.js";
import type { Context } from "./context.js";
import { codeOf, isRetryable, NsmError } from "./errors.js";

/** Options of repeat(). */
export interface RepeatOptions {
  readonly clock: Clock;
  /** Ends the retries. repeat() then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Returns the next delay, in milliseconds. See `backoff`. */
  readonly nextWait: () => number;
  /** Receives each failure and the delay that follows. Ends the retries if it throws. */
  readonly onFailure?: ((error: unknown, waitMs: number) => void) | undefined;
}

/**
 * Repeats work until it succeeds, with a delay after each failure.
 *
 * @example
 * import { backoff, repeat, systemClock } from "nsm-sdk/core";
 *
 * const nextWait = backoff({ initialMs: 100, maxMs: 2_000 });
 * const signal = AbortSignal.timeout(60_000);
 * await repeat(() => fetch("http://127.0.0.1:9090/metrics"), { clock: systemClock, signal, nextWait });
 */
export async function repeat<R>(
  work: () => Promise<R>,
  { clock, signal, nextWait, onFailure = () => {} }: RepeatOptions,
): Promise<R> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const waitMs = nextWait();
      onFailure(error, waitMs);
      await sleep(clock, waitMs, signal);
    }
  }
}

/** Options of repeatCall(). */
export interface RepeatCallOptions {
  /** Returns the next delay, in milliseconds. See `backoff`. */
  readonly nextWait: () => number;
  /** The time limit of one try, in milliseconds. */
  readonly tryTimeoutMs: number;
}

/**
 * Repeats a call until it succeeds.
 *
 * @throws at once, if the failure is permanent (INVALID_ARGUMENT, PERMISSION_DENIED, …). When the caller's
 * deadline expires, an NsmError whose cause is the failure of the last try
 */
export async function repeatCall<R>(
  ctx: Context,
  call: (ctx: Context) => Promise<R>,
  { nextWait, tryTimeoutMs }: RepeatCallOptions,
): Promise<R> {
  const { clock, signal } = ctx;
  let tries = 0;
  let last: unknown;
  try {
    return await repeat(() => (tries++, ctx.withTimeout(tryTimeoutMs, call)), {
      clock,
      signal,
      nextWait,
      onFailure(error) {
        if (!isRetryable(codeOf(error))) throw error;
        // A failure before the deadline explains more than the expired deadline.
        last = signal.aborted ? (last ?? error) : error;
      },
    });
  } catch (error) {
    if (error !== signal.reason || tries === 0) throw error;
    throw gaveUp(signal, tries, last);
  }
}

/** The error of retries that ended at the deadline. */
export function gaveUp({ reason }: AbortSignal, tries: number, last: unknown): NsmError {
  const count = tries === 1 ? "one try" : `${tries} tries`;
  return new NsmError(codeOf(reason), `stopped retrying after ${count}`, { cause: last ?? reason });
}
