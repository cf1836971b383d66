/**
 * Runs work that occupies a thread of libuv's pool for milliseconds, never more than `most` at a time:
 * the rest of the pool stays free for files and names, whatever number of links is being deleted.
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

/** libuv has four threads unless told otherwise; half of them. */
export const onPool = concurrencyLimit(
  Math.max(1, Math.floor(Number(process.env["UV_THREADPOOL_SIZE"] ?? 4) / 2)),
);
