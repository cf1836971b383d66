import { Observable } from "rxjs";
import type { Context } from "../core/index.js";

/** Emits once, `ms` milliseconds after the subscription, by the call's clock. Fails if the call ends first. */
export function delayed(ctx: Context, ms: number): Observable<void> {
  return new Observable((subscriber) => {
    const { signal } = ctx;
    const abort = (): void => subscriber.error(signal.reason);
    if (signal.aborted) return abort();
    const cancel = ctx.clock.after(ms, () => {
      subscriber.next();
      subscriber.complete();
    });
    signal.addEventListener("abort", abort, { once: true });
    return () => {
      cancel();
      signal.removeEventListener("abort", abort);
    };
  });
}
