/** Cancels the call it was returned for; harmless when that has happened already. */
export type CancelTimer = () => void;

/** Time as the elements see it: from the Context, so that a whole mesh can run in virtual time. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `callback` once, `ms` milliseconds from now; a negative time counts as 0. */
  after(ms: number, callback: () => void, options?: TimerOptions): CancelTimer;
}

/** How a timer treats the process it runs in. */
export interface TimerOptions {
  /** The process may end although the timer is armed: for a regular look at something. Default: false. */
  readonly background?: boolean | undefined;
}

// What setTimeout takes at most; longer waits are cut into pieces.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The clock on the wall. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback, { background = false } = {}) {
    let timer: NodeJS.Timeout;
    const arm = (left: number): void => {
      timer =
        left > LONGEST_TIMEOUT_MS
          ? setTimeout(() => arm(left - LONGEST_TIMEOUT_MS), LONGEST_TIMEOUT_MS)
          : setTimeout(callback, Math.max(0, left));
      if (background) timer.unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    const abort = (): void => {
      cancel();
      reject(signal!.reason as Error);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}
