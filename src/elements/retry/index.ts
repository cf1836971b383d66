/**
 * Retries a call until it succeeds or the caller's deadline expires. Not an element: it wraps a whole client
 * chain, so that every try runs through all elements.
 *
 * @example
 * import { client } from "nsm-sdk";
 * import { retry } from "nsm-sdk/elements/retry";
 *
 * const { networkService } = client({ name, url: connectTo, remotes, until });
 * const patient = retry(networkService, { intervalMs: 200, tryTimeoutMs: 15_000 });
 *
 * @packageDocumentation
 */
import type { Connection } from "../../api/index.js";
import {
  backoff,
  Code,
  codeOf,
  explain,
  log,
  repeatCall,
  type Context,
  type NetworkService,
} from "../../core/index.js";

/** Delays between tries, and the time limit of one try. */
export interface RetryOptions {
  /**
   * The first delay, in milliseconds. Each delay is shortened by a random part of up to one half. Default: 200.
   */
  readonly intervalMs?: number | undefined;
  /** The maximum delay, in milliseconds. Delays double up to this value. Default: 2,000. */
  readonly maxIntervalMs?: number | undefined;
  /** Time limit of one try, in milliseconds. Default: 15,000. */
  readonly tryTimeoutMs?: number | undefined;
  readonly random?: (() => number) | undefined;
}

/**
 * Wraps a service so that its calls are retried. A Close that fails with NOT_FOUND counts as successful,
 * because the connection, or the hop that had it, is gone.
 *
 * @throws at once, if the failure is permanent (INVALID_ARGUMENT, PERMISSION_DENIED, …). When the deadline
 * expires, an NsmError with the failure of the last try as its cause
 */
export function retry(
  service: NetworkService,
  { intervalMs = 200, maxIntervalMs = 2_000, tryTimeoutMs = 15_000, random = Math.random }: RetryOptions = {},
): NetworkService {
  function untilDone<R>(ctx: Context, attempt: (ctx: Context) => Promise<R>): Promise<R> {
    const nextWait = backoff({ initialMs: intervalMs, maxMs: Math.max(intervalMs, maxIntervalMs), random });
    return repeatCall(ctx, attempt, { nextWait, tryTimeoutMs });
  }

  /** Closes a connection. NOT_FOUND means that the connection is gone, so it is not retried. */
  async function closed(ctx: Context, connection: Connection): Promise<void> {
    try {
      await service.close(ctx, connection);
    } catch (error) {
      if (codeOf(error) !== Code.NotFound) throw error;
      log(ctx).debug(
        { connection: connection.id, error: explain(error) },
        "the connection to close was already gone",
      );
    }
  }

  return {
    request: (ctx, request) => untilDone(ctx, (c) => service.request(c, request)),
    close: (ctx, connection) => untilDone(ctx, (c) => closed(c, connection)),
  };
}
