import type { Clock } from "../../core/index.js";

/** Longer than any wait: the interval only keeps the process alive. */
const NEVER_MS = 2 ** 31 - 1;

/** A clock whose timers do not keep the process alive. */
export function backgroundClock(clock: Clock): Clock {
  return {
    now: () => clock.now(),
    after: (ms, callback) => clock.after(ms, callback, { background: true }),
  };
}

/** Keeps the process alive until `work` has settled. */
export async function holdProcess<R>(work: Promise<R>): Promise<R> {
  const hold = setInterval(() => {}, NEVER_MS);
  try {
    return await work;
  } finally {
    clearInterval(hold);
  }
}
