import { libc, type PollInterest } from "../libc.js";

/** Time limit and abort signal of a probe. */
export interface WaitOptions {
  /** Milliseconds. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /** Ends it with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `step` whenever the descriptor is ready, until it returns a value. Returns undefined after the time
 * limit. The wait does not occupy a thread.
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
    // If the event loop was blocked past the limit, data that arrived meanwhile still counts: poll once more.
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
