/** How many items are looked at before others get their turn: about a millisecond's work. */
const SLICE = 1_000;

/**
 * Visits each item, then calls `done`. Many items are visited in slices, so that the calls of others run in between;
 * the first slice at once. Returns how to stop.
 */
export function inSlices<T>(items: readonly T[], visit: (item: T) => void, done: () => void): () => void {
  let stopped = false;
  let turn: NodeJS.Immediate | undefined;
  const run = (from: number): void => {
    const end = Math.min(from + SLICE, items.length);
    for (let i = from; i < end && !stopped; i++) visit(items[i]!);
    if (stopped) return;
    if (end === items.length) done();
    else turn = setImmediate(run, end);
  };
  run(0);
  return () => {
    stopped = true;
    clearImmediate(turn);
  };
}
