import type { Observable } from "rxjs";

/** The messages that a reader of a watch has received. */
export interface Reader<F> {
  readonly seen: readonly F[];
  /** Resolves when the received messages satisfy `condition`. */
  until(condition: (seen: readonly F[]) => boolean): Promise<void>;
  /** Resolves when the watch ends, with the reason. */
  readonly ended: Promise<unknown>;
  stop(): void;
}

/** Reads a stream and keeps its messages. */
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
