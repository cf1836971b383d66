import type { Clock } from "../core/index.js";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** A clock that tests advance. A mesh runs through hours in milliseconds, always in the same order. */
export interface VirtualClock extends Clock {
  /** Advances by `ms` milliseconds. Fires due timers in order, and waits for all work that they cause. */
  advance(ms: number): Promise<void>;
  /** Runs all work that does not wait for time. */
  settle(): Promise<void>;
  /** The number of armed timers. 0 if nothing was left behind. */
  readonly timers: number;
}

// Fixed, so that tokens and expiry times are equal in every run.
const START = Date.UTC(2030, 0, 1);

/**
 * Creates a clock that stands still until it is advanced. It fires timers in order as it passes them.
 *
 * @example
 * import { virtualClock } from "nsm-sdk/testing";
 *
 * const clock = virtualClock();
 * clock.after(60_000, () => console.log("a minute later"));
 * await clock.advance(60_000);
 */
export function virtualClock(start = START): VirtualClock {
  let now = start;
  const timers = new Set<Timer>();

  const nextTimer = (until: number): Timer | undefined =>
    [...timers]
      .filter(({ at }) => at <= until)
      .reduce<Timer | undefined>(
        (first, timer) => (first === undefined || timer.at < first.at ? timer : first),
        undefined,
      );

  const clock: VirtualClock = {
    now: () => now,
    after(ms, callback) {
      const timer = { at: now + Math.max(0, ms), callback };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(ms) {
      const until = now + ms;
      await clock.settle();
      for (let timer = nextTimer(until); timer; timer = nextTimer(until)) {
        timers.delete(timer);
        now = Math.max(now, timer.at);
        timer.callback();
        await clock.settle();
      }
      now = until;
    },
    // Microtasks run before the next immediate, so one turn settles promises. A few more turns settle work
    // that itself waits for an immediate.
    async settle() {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    },
    get timers() {
      return timers.size;
    },
  };
  return clock;
}
