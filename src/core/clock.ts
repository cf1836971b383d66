/** Cancels the timer. Has no effect if the timer has fired or is canceled. */
export type CancelTimer = () => void;

/** The time source of elements. They read it from the Context, so that a whole mesh can run in virtual time. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `callback` once, `ms` milliseconds from now; a negative time counts as 0. */
  after(ms: number, callback: () => void, options?: TimerOptions): CancelTimer;
}

/** Options of a timer. */
export interface TimerOptions {
  /** Whether the process may exit while the timer is armed, as for periodic checks. Default: false. */
  readonly background?: boolean | undefined;
}

// The maximum delay of setTimeout. Longer delays are split.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The clock of the system. */
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

/** Resolves after `ms` milliseconds. Rejects with the signal's reason if the signal aborts first. */
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
