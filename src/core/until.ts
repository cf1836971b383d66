import { setMaxListeners } from "node:events";
import type { Context } from "./context.js";

/** Runs `work` once when `until`, the life of a program, is over; at once when it is over already. */
export function atEnd(until: AbortSignal, work: () => void): void {
  // Every element of every chain listens to the one signal; Node warns at the eleventh.
  setMaxListeners(0, until);
  if (until.aborted) work();
  else until.addEventListener("abort", work, { once: true });
}

/** Settles with `work`, or rejects with the reason when the Context is done first; `work` goes on. */
export function unlessDone<R>({ signal }: Context, work: Promise<R>): Promise<R> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
