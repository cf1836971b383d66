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

/** What is watched, and how it is re-opened. */
export interface SteadyWatchOptions<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly kind: RegistryKind<E, Q, F>;
  readonly registry: Registry<E, Q, F>;
  readonly ctx: Context;
  /** What to watch; undefined is everything. */
  readonly asked: E | undefined;
  readonly random?: (() => number) | undefined;
}

const PAUSES = { initialMs: 50, maxMs: 5_000 };

/** A watch that has shown nothing for so long, in milliseconds, has nothing to show: by then it is established. */
export const ESTABLISHED_MS = 1_000;

/**
 * A watch that outlives its streams: one that breaks is re-opened, with growing pauses. Deletions in between are
 * not lost: after re-opening, what neither the new stream nor a plain Find shows is reported as deleted. It ends
 * only with its call, or with a code that says it can never work.
 */
export function steadyWatch<E extends RegistryEntry, Q extends WatchableQuery, F>(
  options: SteadyWatchOptions<E, Q, F>,
): Observable<F> {
  const { kind, registry, ctx, asked = {} as Partial<E>, random = Math.random } = options;
  const pauses = (): (() => number) => backoff({ ...PAUSES, random });

  return defer(() => {
    /** What the reader believes to exist. */
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

    /** What a Find tells beyond what the stream told about the names in `touched`. */
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
      // The stream knows better than a Find that runs beside it.
      const touched = new Set<string>();
      const stream = unending(registry.find(ctx, kind.query(asked, true))).pipe(
        tap((found) => touched.add(kind.entry(found)?.name ?? "")),
      );
      if (openings++ === 0) return stream;
      return stream.pipe(
        connect((told) => {
          // Not before: what is deleted after the Find was answered must be reported by the stream. And not within
          // a message: what comes with the first one is not news.
          const established = merge(told, delayed(ctx, ESTABLISHED_MS)).pipe(
            take(1),
            observeOn(asapScheduler),
          );
          return merge(told, established.pipe(mergeMap(() => compare(touched))));
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
            `the watch of ${kind.noun}s broke; it will be opened again`,
          );
          broken = true;
          return delayed(ctx, pause());
        },
      }),
    );
  });
}
