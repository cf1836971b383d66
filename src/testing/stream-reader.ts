import type { Observable } from "rxjs";

/** What a reader of a watch has seen so far. */
export interface Reader<F> {
  readonly seen: readonly F[];
  /** Resolves when what was seen fulfils `condition`. */
  until(condition: (seen: readonly F[]) => boolean): Promise<void>;
  /** Resolves with what the watch ended with. */
  readonly ended: Promise<unknown>;
  stop(): void;
}

/** Reads a stream and keeps what came. */
export function read<F>(stream: Observable<F>): Reader<F> {
  const seen: F[] = [];
  const waiting = new Set<() => void>();
  let finish: (reason: unknown) => void;
  const ended = new Promise<unknown>((resolve) => (finish = resolve));
  const subscription = stream.subscribe({
    next(found) {
      seen.push(found);
      for (const check of [...waiting]) check();
    },
    error: (error: unknown) => finish(error),
    complete: () => finish(undefined),
  });
  return {
    seen,
    ended,
    until: (condition) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!condition(seen)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    stop: () => subscription.unsubscribe(),
  };
}
