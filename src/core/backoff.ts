/** Options of the delays between retries. */
export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Returns random numbers between 0 and 1. Tests pass a seeded source. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/**
 * Returns the delays between retries, in milliseconds. The delay doubles from `initialMs` to `maxMs`. Each
 * delay is shortened by a random part of up to one half, so that clients that failed together do not retry
 * together.
 */
export function backoff({ initialMs, maxMs, random = Math.random }: BackoffOptions): () => number {
  let ceiling = Math.min(initialMs, maxMs);
  return () => {
    const wait = ceiling * (1 - random() / 2);
    ceiling = Math.min(maxMs, ceiling * 2);
    return wait;
  };
}
