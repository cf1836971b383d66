/**
 * Runs work that occupies a thread of libuv's pool for milliseconds, at most `most` at a time. The remaining
 * threads stay free for files and DNS while links are deleted.
 */
export function concurrencyLimit(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;

  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}

/** Uses half of libuv's threads. libuv has four by default. */
export const onPool = concurrencyLimit(
  Math.max(1, Math.floor(Number(process.env["UV_THREADPOOL_SIZE"] ?? 4) / 2)),
);
