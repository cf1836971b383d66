import {
  asapScheduler,
  connect,
  defer,
  merge,
  mergeMap,
  observeOn,
  retry,
  take,
  tap,
  throwError,
  toArray,
  type Observable,
} from "rxjs";
import {
  backoff,
  codeOf,
  isRetryable,
  log,
  type Context,
  type Registry,
  type RegistryEntry,
} from "../core/index.js";
import { delayed } from "./delayed.js";
import { unending } from "./unending.js";
import type { RegistryKind, WatchableQuery } from "./kinds.js";

/** Options of steadyWatch(). */
export interface SteadyWatchOptions<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly kind: RegistryKind<E, Q, F>;
  readonly registry: Registry<E, Q, F>;
  readonly ctx: Context;
  /** The entry to watch, or undefined for all entries. */
  readonly asked: E | undefined;
  readonly random?: (() => number) | undefined;
}

const PAUSES = { initialMs: 50, maxMs: 5_000 };

/** A watch that shows nothing within this time, in milliseconds, is established and has nothing to show. */
export const ESTABLISHED_MS = 1_000;

/**
 * A watch that reopens broken streams, with growing delays. Deletions in the meantime are not lost: after
 * reopening, entries that neither the new stream nor a plain Find shows are reported as deleted. The watch ends
 * only with its call or with a permanent failure.
 */
export function steadyWatch<E extends RegistryEntry, Q extends WatchableQuery, F>(
  options: SteadyWatchOptions<E, Q, F>,
): Observable<F> {
  const { kind, registry, ctx, asked = {} as Partial<E>, random = Math.random } = options;
  const pauses = (): (() => number) => backoff({ ...PAUSES, random });

  return defer(() => {
    /** The entries that the subscriber has seen. */
    const known = new Map<string, E>();
    let pause = pauses();
    let openings = 0;
    let broken = false;

    const note = (found: F): void => {
      const entry = kind.entry(found);
      if (!entry) return;
      if (kind.isDeleted(found)) known.delete(entry.name);
      else known.set(entry.name, entry);
    };

    /**
     * The differences between a Find and the known entries, except for the names in `touched`, which the stream
     * has reported.
     */
    const compare = (touched: ReadonlySet<string>): Observable<F> =>
      registry.find(ctx, kind.query(asked, false)).pipe(
        toArray(),
        mergeMap((all) => {
          const names = new Set(all.map((found) => kind.entry(found)?.name));
          const gone = [...known.values()].filter(({ name }) => !touched.has(name) && !names.has(name));
          const news = all.filter((found) => !touched.has(kind.entry(found)?.name ?? ""));
          return [...news, ...gone.map((entry) => kind.found(entry, true))];
        }),
        tap({
          complete: () => {
            pause = pauses();
            broken = false;
          },
        }),
      );

    const session = defer(() => {
      // The stream is newer than a concurrent Find.
      const touched = new Set<string>();
      const stream = unending(registry.find(ctx, kind.query(asked, true))).pipe(
        tap((found) => touched.add(kind.entry(found)?.name ?? "")),
      );
      if (openings++ === 0) return stream;
      return stream.pipe(
        connect((shared) => {
          // The Find must start after the stream, so that the stream reports every deletion after its answer.
          // It must not start within the first message, because that message belongs to the initial set.
          const established = merge(shared, delayed(ctx, ESTABLISHED_MS)).pipe(
            take(1),
            observeOn(asapScheduler),
          );
          return merge(shared, established.pipe(mergeMap(() => compare(touched))));
        }),
      );
    });

    return session.pipe(
      tap(note),
      retry({
        delay: (error: unknown) => {
          if (ctx.signal.aborted) return throwError(() => ctx.signal.reason as Error);
          if (!isRetryable(codeOf(error))) return throwError(() => error);
          log(ctx)[broken ? "debug" : "info"](
            { err: error },
            `the watch of ${kind.noun}s broke, reopening it`,
          );
          broken = true;
          return delayed(ctx, pause());
        },
      }),
    );
  });
}
