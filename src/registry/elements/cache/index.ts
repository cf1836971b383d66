/**
 * Answers Finds from watched copies. The first Find of a service goes to the registry and opens a watch of it;
 * once that has shown all there is, Finds of the service, and of its endpoints by name, are answered at once.
 * Whatever finds nothing here is asked there, as is everything while a watch is down and every Find that is
 * marked `uncached`. A Register or Unregister through the cache is in it before it is answered. A watch ends when
 * it breaks, when nothing is registered any more, or when too many others were used since.
 *
 * Both registries. Right before dial or connect; after local-bypass. Watches pass through.
 *
 * @example
 * endpointRegistryChain([localBypass({ url }), cache({ kind: endpointKind, until }), dialEndpoints({ links, url })]);
 *
 * @packageDocumentation
 */
import { concat, defer, from, merge, tap, throwError, toArray, type Observable } from "rxjs";
import {
  atEnd,
  Code,
  Context,
  log,
  logger,
  NsmError,
  uncached,
  type Registry,
  type RegistryElement,
  type RegistryEntry,
} from "../../../core/index.js";
import type { RegistryKind, WatchableQuery } from "../../kinds/index.js";
import { Group } from "./group.js";

/** What is cached, and how much. */
export interface CacheOptions<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly kind: RegistryKind<E, Q, F>;
  /** The program's life: when it is over, nothing is watched any more. */
  readonly until: AbortSignal;
  /** How many services are watched at the most; 256 when left out. The least recently used goes first. */
  readonly maxWatches?: number | undefined;
}

/** See the module's description. */
export function cache<E extends RegistryEntry, Q extends WatchableQuery, F>({
  kind,
  until,
  maxWatches = 256,
}: CacheOptions<E, Q, F>): RegistryElement<E, Q, F> {
  /** In the order of their last use. */
  const groups = new Map<string, Group<E>>();
  atEnd(until, () => [...groups.keys()].forEach(close));

  function close(name: string): void {
    const group = groups.get(name);
    groups.delete(name);
    group?.stop();
  }

  function use(name: string): Group<E> | undefined {
    const group = groups.get(name);
    if (!group?.live) return undefined;
    groups.delete(name);
    groups.set(name, group);
    return group;
  }

  /** What is known to answer a query; nothing when the registry must be asked. */
  function known(ctx: Context, asked: E | undefined): E[] {
    if (!asked || ctx.get(uncached)) return [];
    const now = ctx.clock.now();
    // A registry may have lost a deletion between its list and its watch: what is over is not shown.
    const current = (entry: E): boolean => (kind.expiresAt(entry) ?? Infinity) > now;
    const [name] = kind.groups(asked);
    // Without service or name it may ask for what is in no group.
    if (name === undefined && asked.name === "") return [];
    const among = name === undefined ? [...groups.values()].filter(({ live }) => live) : [use(name)];
    for (const group of among) {
      const found = group?.entries.matching(asked, kind.matches).filter(current) ?? [];
      if (found.length > 0) return found;
    }
    return [];
  }

  /** Begins to watch a group that was found to have entries. */
  function open(ctx: Context, name: string, registry: Registry<E, Q, F>): void {
    if (groups.has(name) || until.aborted) return;
    for (const oldest of groups.keys()) {
      if (groups.size < maxWatches) break;
      close(oldest);
    }
    const group = new Group<E>(kind.services);
    groups.set(name, group);
    const own = Context.background({ signal: group.signal, clock: ctx.clock }).with(logger, ctx.get(logger));
    const like = kind.likeGroup(name);
    const over = (why: unknown): void => {
      if (groups.get(name) !== group) return;
      if (why !== undefined) log(own).info({ err: why, group: name }, `the watch of ${kind.noun}s broke`);
      close(name);
    };
    const watch = registry.find(own, kind.query(like, true)).pipe(
      tap((found) => {
        const entry = kind.entry(found);
        if (entry) group.note(entry, kind.isDeleted(found));
        if (group.isDone) over(undefined);
      }),
    );
    const complete = registry.find(own, kind.query(like, false)).pipe(
      toArray(),
      tap((all) => {
        group.complete(all.map(kind.entry).filter((entry) => entry !== undefined));
        if (group.isDone) over(undefined);
      }),
    );
    // The watch first: what changes while the Find is under way is in one of them.
    group.follow(merge(concat(watch, throwError(ended)), complete), over);
  }

  /** A change that was made through us. */
  function learn(entry: E, deleted: boolean): void {
    const belongs = new Set(kind.groups(entry));
    for (const [name, group] of [...groups]) {
      group.note(entry, deleted || !belongs.has(name));
      if (group.isDone) close(name);
    }
  }

  return {
    name: "cache",
    debugState: () => ({ watches: groups.size }),

    async register(ctx, entry, next) {
      const response = await next.register(ctx, entry);
      learn(response, false);
      return response;
    },

    find(ctx, query, next): Observable<F> {
      if (query.watch) return next.find(ctx, query);
      return defer(() => {
        const asked = kind.asked(query);
        const entries = known(ctx, asked);
        if (entries.length > 0) return from(entries.map((entry) => kind.found(entry, false)));
        let shown: E | undefined;
        return next.find(ctx, query).pipe(
          tap({
            next: (found) => (shown ??= kind.entry(found)),
            complete() {
              const [name] = asked && shown ? [...kind.groups(asked), ...kind.groups(shown)] : [];
              if (name !== undefined) open(ctx, name, next);
            },
          }),
        );
      });
    },

    async unregister(ctx, entry, next) {
      try {
        await next.unregister(ctx, entry);
      } finally {
        learn(entry, true);
      }
    },
  };
}

function ended(): NsmError {
  return new NsmError(Code.Unavailable, "the registry ended the watch");
}
