import { log, repeat, type Context, type EventOutcome } from "../core/index.js";

/** How an event is repeated. */
export interface PersistOptions {
  readonly ctx: Context;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The wait before the next try, in milliseconds. */
  readonly pause: () => number;
  /** What is tried, for the log: `renewing nse-1`. */
  readonly what: string;
}

/** Runs an event until it is done or nobody wants it any more, with pauses after failures. */
export async function persist(
  event: () => Promise<EventOutcome>,
  { ctx, signal, pause, what }: PersistOptions,
): Promise<void> {
  await repeat(event, {
    clock: ctx.clock,
    signal,
    nextWait: pause,
    onFailure: (error) => log(ctx).warn({ err: error }, `${what} failed; it will be tried again`),
  });
}
