import { sleep, type Clock } from "./clock.js";
import type { Context } from "./context.js";
import { codeOf, isRetryable, NsmError } from "./errors.js";

/** How failed work is repeated. */
export interface RepeatOptions {
  readonly clock: Clock;
  /** Ends the repetition: it rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** The next wait in milliseconds: see `backoff`. */
  readonly nextWait: () => number;
  /** Receives each failure and the wait that follows. Ends the repetition if it throws. */
  readonly onFailure?: (error: unknown, waitMs: number) => void;
}

/**
 * Repeats work until it succeeds, with a wait after each failure.
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

/** How a failed call is repeated. */
export interface RepeatCallOptions {
  /** The next wait in milliseconds: see `backoff`. */
  readonly nextWait: () => number;
  /** The time limit of one try, in milliseconds. */
  readonly tryTimeoutMs: number;
}

/**
 * Repeats a call until it succeeds.
 *
 * @throws at once a failure that no repetition can correct (INVALID_ARGUMENT, PERMISSION_DENIED, …); when the caller's
 * time is over, an NsmError whose cause is the failure of the last try
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
        // What fails because the time is over explains less than what failed before.
        last = signal.aborted ? (last ?? error) : error;
      },
    });
  } catch (error) {
    if (error !== signal.reason || tries === 0) throw error;
    throw gaveUp(signal, tries, last);
  }
}

/** The error of a repetition that ran out of time. */
export function gaveUp({ reason }: AbortSignal, tries: number, last: unknown): NsmError {
  const count = tries === 1 ? "one try" : `${tries} tries`;
  return new NsmError(codeOf(reason), `gave up after ${count}`, { cause: last ?? reason });
}
