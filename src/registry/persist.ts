import { log, repeat, type Context, type EventOutcome } from "../core/index.js";

/** Options of persist(). */
export interface PersistOptions {
  readonly ctx: Context;
  /** Ends the retries. */
  readonly signal: AbortSignal;
  /** Returns the delay before the next try, in milliseconds. */
  readonly pause: () => number;
  /** The work in log lines: `renewing nse-1`. */
  readonly what: string;
}

/** Runs an event until it succeeds or is skipped, or until `signal` aborts, with delays after failures. */
export async function persist(
  event: () => Promise<EventOutcome>,
  { ctx, signal, pause, what }: PersistOptions,
): Promise<void> {
  await repeat(event, {
    clock: ctx.clock,
    signal,
    nextWait: pause,
    onFailure: (error) => log(ctx).warn({ err: error }, `${what} failed, will retry`),
  });
}
