import { libc, type PollInterest } from "../libc.js";

/** How long a probe may take and what ends it before. */
export interface WaitOptions {
  /** Milliseconds. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /** Ends it with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `step` whenever the descriptor is ready, until it returns something; undefined when the time is over
 * first. No thread waits meanwhile.
 */
export async function until<T>(
  fd: number,
  interest: PollInterest,
  step: () => T | undefined,
  { timeoutMs = 1000, signal }: WaitOptions,
): Promise<T | undefined> {
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      clearImmediate(last);
      handle.close();
      signal?.removeEventListener("abort", aborted);
      settle();
    };
    const aborted = () => end(() => reject(signal?.reason as Error));
    // When the loop was busy beyond the time, what arrived meanwhile still counts: it is polled once more.
    let last: NodeJS.Immediate | undefined;
    const timer = setTimeout(() => (last = setImmediate(() => end(() => resolve(undefined)))), timeoutMs);
    const handle = libc().poll(fd, interest, () => {
      try {
        const result = step();
        if (result !== undefined) end(() => resolve(result));
      } catch (error) {
        end(() => reject(error as Error));
      }
    });
    signal?.addEventListener("abort", aborted);
  });
}
