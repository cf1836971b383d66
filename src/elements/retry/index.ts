/**
 * Asks again until it works or the caller's time is over. Not an element: it wraps a whole client chain, so that
 * every try begins at its beginning.
 *
 * @example
 * const client = retry(chain([...clientElements, connectClient()]), { intervalMs: 200, tryTimeoutMs: 15_000 });
 *
 * @packageDocumentation
 */
import type { Connection } from "../../api/index.js";
import {
  backoff,
  Code,
  codeOf,
  explain,
  isRetryable,
  log,
  NsmError,
  sleep,
  type Context,
  type NetworkService,
} from "../../core/index.js";

/** How often, and how long each time. */
export interface RetryOptions {
  /** The first wait in milliseconds, up to half shorter by chance; 200 when left out. */
  readonly intervalMs?: number;
  /** What the waits double up to; 2,000 ms when left out. */
  readonly maxIntervalMs?: number;
  /** How long one try may take, in milliseconds; 15,000 when left out. */
  readonly tryTimeoutMs?: number;
  readonly random?: () => number;
}

/**
 * The service with its calls repeated. A Close that says NOT_FOUND is done: the connection, or who had it, is gone. A failure that a repetition cannot heal (INVALID_ARGUMENT,
 * PERMISSION_DENIED, …) is thrown at once. When the time is over the error says so, and what the last try failed
 * with is its cause.
 */
export function retry(
  service: NetworkService,
  { intervalMs = 200, maxIntervalMs = 2_000, tryTimeoutMs = 15_000, random = Math.random }: RetryOptions = {},
): NetworkService {
  async function untilDone<R>(ctx: Context, attempt: (ctx: Context) => Promise<R>): Promise<R> {
    const nextWait = backoff({ initialMs: intervalMs, maxMs: Math.max(intervalMs, maxIntervalMs), random });
    for (let tries = 1; ; tries++) {
      try {
        return await ctx.withTimeout(tryTimeoutMs, attempt);
      } catch (error) {
        if (!isRetryable(codeOf(error))) throw error;
        await sleep(ctx.clock, nextWait(), ctx.signal).catch((reason: unknown) => {
          const count = tries === 1 ? "one try" : `${tries} tries`;
          throw new NsmError(codeOf(reason), `gave up after ${count}`, { cause: error });
        });
      }
    }
  }

  /** NOT_FOUND says that what was to be closed is gone: there is nothing to wait for. */
  async function closed(ctx: Context, connection: Connection): Promise<void> {
    try {
      await service.close(ctx, connection);
    } catch (error) {
      if (codeOf(error) !== Code.NotFound) throw error;
      log(ctx).debug({ connection: connection.id, error: explain(error) }, "closed what was gone already");
    }
  }

  return {
    request: (ctx, request) => untilDone(ctx, (c) => service.request(c, request)),
    close: (ctx, connection) => untilDone(ctx, (c) => closed(c, connection)),
  };
}
