import { setMaxListeners } from "node:events";
import type { Context } from "./context.js";

/**
 * Runs `work` once when `until` aborts, or immediately if it has aborted. `until` is the lifetime of a program.
 *
 * @returns cancels this
 */
export function atEnd(until: AbortSignal, work: () => void): () => void {
  // Every element of every chain listens to this signal. By default, Node warns at the eleventh listener.
  setMaxListeners(0, until);
  if (until.aborted) work();
  else until.addEventListener("abort", work, { once: true });
  return () => until.removeEventListener("abort", work);
}

/** Settles with `work`, or rejects with the signal's reason if the Context ends first. `work` then continues. */
export function unlessDone<R>({ signal }: Context, work: Promise<R>): Promise<R> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
