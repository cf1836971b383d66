/** Number of items per slice, about one millisecond of work. */
const SLICE = 1_000;

/**
 * Visits each item, then calls `done`. Many items are visited in slices, so that other work runs in between.
 * The first slice runs synchronously. Returns a function that stops the visit.
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
