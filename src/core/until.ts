import { setMaxListeners } from "node:events";

/** Runs `work` once when `until`, the life of a program, is over; at once when it is over already. */
export function atEnd(until: AbortSignal, work: () => void): void {
  // Every element of every chain listens to the one signal; Node warns at the eleventh.
  setMaxListeners(0, until);
  if (until.aborted) work();
  else until.addEventListener("abort", work, { once: true });
}
