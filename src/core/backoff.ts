/** How waits between tries grow. */
export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Numbers between 0 and 1; seeded in tests. Default: `Math.random`. */
  readonly random?: () => number;
}

/**
 * The waits between tries: doubling from `initialMs` to `maxMs`, each made up to half shorter by chance so that
 * those who failed together do not come back together.
 */
export function backoff({ initialMs, maxMs, random = Math.random }: BackoffOptions): () => number {
  let ceiling = Math.min(initialMs, maxMs);
  return () => {
    const wait = ceiling * (1 - random() / 2);
    ceiling = Math.min(maxMs, ceiling * 2);
    return wait;
  };
}
