import type { Clock } from "../core/index.js";

interface Alarm {
  readonly at: number;
  readonly callback: () => void;
}

/** Time that passes only when told: whole meshes run through hours in milliseconds, always in the same order. */
export interface VirtualClock extends Clock {
  /** Lets `ms` milliseconds pass, firing what is due in order and letting all that follows from it settle. */
  advance(ms: number): Promise<void>;
  /** Lets everything that does not wait for time run until it rests. */
  settle(): Promise<void>;
  /** How many timers are armed: 0 when nothing was left behind. */
  readonly timers: number;
}

// Fixed, so that tokens and expiry times are the same in every run.
const START = Date.UTC(2030, 0, 1);

/**
 * A clock that stands still until it is told to go on; timers run in order when it passes them.
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
  const alarms = new Set<Alarm>();

  const nextAlarm = (until: number): Alarm | undefined =>
    [...alarms]
      .filter(({ at }) => at <= until)
      .reduce<Alarm | undefined>(
        (first, alarm) => (first === undefined || alarm.at < first.at ? alarm : first),
        undefined,
      );

  const clock: VirtualClock = {
    now: () => now,
    after(ms, callback) {
      const alarm = { at: now + Math.max(0, ms), callback };
      alarms.add(alarm);
      return () => void alarms.delete(alarm);
    },
    async advance(ms) {
      const until = now + ms;
      await clock.settle();
      for (let alarm = nextAlarm(until); alarm; alarm = nextAlarm(until)) {
        alarms.delete(alarm);
        now = Math.max(now, alarm.at);
        alarm.callback();
        await clock.settle();
      }
      now = until;
    },
    // Every microtask runs before the next immediate, so one turn is enough for what only uses promises; a
    // few more cover what itself waits for an immediate.
    async settle() {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    },
    get timers() {
      return alarms.size;
    },
  };
  return clock;
}
