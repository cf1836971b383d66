/**
 * Retries failed calls with growing delays until the caller's deadline expires. A permanent failure
 * (PERMISSION_DENIED, INVALID_ARGUMENT, …) ends the call at once. A Find is retried only until it has shown an
 * entry. When the deadline expires, the error has the code of the deadline and the last failure as its cause.
 *
 * Both registries, client side. After begin.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 * import { retry } from "nsm-sdk/registry/elements/retry";
 *
 * endpointRegistryChain([begin(), retry(), dialEndpoints({ remotes, url })]);
 *
 * @packageDocumentation
 */
import { catchError, defer, switchMap, tap, throwError, type Observable } from "rxjs";
import {
  backoff,
  codeOf,
  isRetryable,
  repeatCall,
  type Context,
  type RegistryElement,
} from "../../../core/index.js";
import { gaveUp } from "../../../core/repeat.js";
import { delayed } from "../../delayed.js";

/** Options of retry(). */
export interface RetryOptions {
  /** The first delay, in milliseconds. Default: 200. */
  readonly intervalMs?: number | undefined;
  /** The maximum delay, in milliseconds. Default: 5,000. */
  readonly maxIntervalMs?: number | undefined;
  /** Time limit of one Register or Unregister, in milliseconds. Finds have no limit. Default: 15,000. */
  readonly tryTimeoutMs?: number | undefined;
  readonly random?: (() => number) | undefined;
}

/** Creates the element. See the module description. */
export function retry<E, Q, F>({
  intervalMs = 200,
  maxIntervalMs = 5_000,
  tryTimeoutMs = 15_000,
  random = Math.random,
}: RetryOptions = {}): RegistryElement<E, Q, F> {
  const pauses = (): (() => number) => backoff({ initialMs: intervalMs, maxMs: maxIntervalMs, random });

  const repeated = <R>(ctx: Context, call: (ctx: Context) => Promise<R>): Promise<R> =>
    repeatCall(ctx, call, { nextWait: pauses(), tryTimeoutMs });

  return {
    name: "retry",
    register: (ctx, entry, next) => repeated(ctx, (c) => next.register(c, entry)),
    unregister: (ctx, entry, next) => repeated(ctx, (c) => next.unregister(c, entry)),
    find(ctx, query, next) {
      const pause = pauses();
      let tries = 0;
      const attempt = (): Observable<F> => {
        let shown = false;
        tries++;
        return next.find(ctx, query).pipe(
          tap(() => (shown = true)),
          catchError((error: unknown) => {
            if (shown || ctx.signal.aborted || !isRetryable(codeOf(error))) return throwError(() => error);
            return delayed(ctx, pause()).pipe(
              catchError(() => throwError(() => gaveUp(ctx.signal, tries, error))),
              switchMap(attempt),
            );
          }),
        );
      };
      return defer(attempt);
    },
  };
}
