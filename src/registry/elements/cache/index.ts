/**
 * Answers Finds from a local copy that watches keep up to date. The first Find of a service goes to the
 * registry and opens a watch of the queried entries: the service, or the service under one URL. Once the watch
 * has shown all entries, the cache answers such Finds, and Finds of these endpoints by name. A Find goes to the
 * registry if the cache has no result, while a watch is down, and if it is marked with `bypassCache`. A
 * Register or Unregister through the cache is applied to the copy before it is answered. A watch ends when it
 * breaks, when no entry is left, or when a more frequently used watch replaces it. If the registry fails or
 * does not answer within one second, a Find returns the entries that the cache had when the watch broke, except
 * expired ones. A Find that is marked with `cachedOnly` never goes to the registry.
 *
 * Both registries. Directly before dial or connect; after local-bypass. Watches of callers are forwarded
 * unchanged.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { endpointKind } from "nsm-sdk/registry";
 * import { cache } from "nsm-sdk/registry/elements/cache";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 * import { localBypass } from "nsm-sdk/registry/elements/local-bypass";
 *
 * endpointRegistryChain([
 *   localBypass({ url }),
 *   cache({ kind: endpointKind, until }),
 *   dialEndpoints({ remotes, url }),
 * ]);
 *
 * @packageDocumentation
 */
import { catchError, defer, from, raceWith, switchMap, tap, throwError, type Observable } from "rxjs";
import {
  Context,
  log,
  logger,
  type Registry,
  type RegistryElement,
  type RegistryEntry,
} from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";
import { cachedOnly, bypassCache } from "../../bypass-cache.js";
import { endpointChoice } from "../../endpoint-choice.js";
import type { RegistryKind, WatchableQuery } from "../../kinds.js";
import { delayed } from "../../delayed.js";
import { isAbout } from "../../is-about.js";
import { Changes } from "./changes.js";
import { Group } from "./group.js";
import { Places } from "./places.js";

/** Options of cache(). */
export interface CacheOptions<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly kind: RegistryKind<E, Q, F>;
  /** The lifetime of the program. Ends all watches. */
  readonly until: AbortSignal;
  /**
   * Maximum number of open watches. Beyond it, a service replaces the least recently used one only when it is
   * queried for the second time since that one's last use. Default: 256.
   */
  readonly maxWatches?: number | undefined;
}

/** How long to wait for the registry before the last known entries are returned, in milliseconds. */
const PATIENCE_MS = 1_000;

/** Creates the element. See the module description. */
export function cache<E extends RegistryEntry, Q extends WatchableQuery, F>({
  kind,
  until,
  maxWatches = 256,
}: CacheOptions<E, Q, F>): RegistryElement<E, Q, F> {
  const groups = new Map<string, Group<E, Q, F>>();
  /** Groups whose watch broke, until they are watched again. */
  const broken = new Map<string, Group<E, Q, F>>();
  const places = new Places(maxWatches);
  const changes = new Changes();
  atEnd(until, () => [...groups.keys()].forEach(close));

  function close(key: string): void {
    const group = groups.get(key);
    groups.delete(key);
    places.leave(key);
    group?.stop();
  }

  /** Keeps a group whose watch broke. At most `maxWatches` such groups are kept. */
  function keep(key: string, group: Group<E, Q, F>): void {
    broken.delete(key);
    broken.set(key, group);
    for (const oldest of broken.keys()) if (broken.size > maxWatches) broken.delete(oldest);
  }

  /** Returns the entries of the watched groups that match a query. */
  function known(ctx: Context, asked: E | undefined): E[] {
    for (const key of asked ? answering(asked, groups) : []) {
      const group = groups.get(key);
      const found = group?.live ? current(ctx, group, asked) : [];
      if (found.length === 0) continue;
      places.use(key);
      return found;
    }
    return [];
  }

  /** Returns the entries of groups with a broken watch that match a query. */
  function lastKnown(ctx: Context, asked: E | undefined): E[] {
    for (const key of asked ? answering(asked, broken) : []) {
      const group = broken.get(key);
      const found = group ? current(ctx, group, asked) : [];
      if (found.length > 0) return found;
    }
    return [];
  }

  /**
   * Returns the matching entries of a group without expired ones, because a registry may lose a deletion
   * between its list and its watch.
   */
  function current(ctx: Context, group: Group<E, Q, F>, asked: E | undefined): E[] {
    const now = ctx.clock.now();
    const isCurrent = (entry: E): boolean => (kind.expiresAt(entry) ?? Infinity) > now;
    const choice = ctx.get(endpointChoice);
    const chosen = choice && group.choices?.choose(choice, isCurrent);
    if (chosen) choice.inTurn = true;
    return (chosen ?? group.entries.matching(asked, kind.matches)).filter(isCurrent);
  }

  /** The groups that may answer a query: those of its service, or all groups for a query by name. */
  function answering(asked: E, among: ReadonlyMap<string, unknown>): Iterable<string> {
    const scopes = kind.scopes(asked);
    if (scopes.length > 0) return scopes.map(keyOf);
    // Without service and name, the query may match entries outside of all groups.
    return asked.name === "" ? [] : among.keys();
  }

  /** The narrowest watch that answers the next such Find. */
  function watchFor(asked: E, shown: E): Partial<E> | undefined {
    return kind.scopes(asked)[0] ?? kind.scopes(shown).at(-1);
  }

  function open(ctx: Context, like: Partial<E>, registry: Registry<E, Q, F>): void {
    const key = keyOf(like);
    if (groups.has(key) || until.aborted) return;
    const { granted, evicted } = places.take(key);
    if (evicted !== undefined) close(evicted);
    if (!granted) return;
    const group = new Group(kind, like);
    groups.set(key, group);
    const own = Context.background({ signal: group.signal, clock: ctx.clock }).with(logger, ctx.get(logger));
    const closeIt = (): void => {
      if (groups.get(key) === group) close(key);
    };
    group.follow(own, registry, {
      reported: (name) => changes.reported(name),
      changed() {
        if (group.live) broken.delete(key);
        if (group.isDone) closeIt();
      },
      broke(why) {
        log(own).info({ err: why, group: key }, `the watch of ${kind.noun}s broke`);
        if (group.wasLive) keep(key, group);
        closeIt();
      },
    });
  }

  /** Applies a change made through this cache. `contested`: a watch reported the entry during the change. */
  function learn(entry: E, deleted: boolean, contested: boolean): void {
    for (const group of [...groups.values(), ...broken.values()]) {
      const standing = group.entries.get(entry.name);
      // An Unregister does not remove an endpoint that has moved since.
      if (deleted && standing && !isAbout(entry, standing)) continue;
      // The watch may have reported this change, an earlier or a later one.
      const agreed = deleted ? !standing : standing && same(standing, entry);
      if (deleted || !contested) group.note(entry, deleted);
      if (contested && !agreed) group.doubt();
    }
    for (const [key, group] of [...groups]) if (group.isDone) close(key);
  }

  /** Returns the answer of the registry, or the last known entries if it fails or does not answer in time. */
  function orBefore(ctx: Context, answer: Observable<F>, before: readonly E[]): Observable<F> {
    if (before.length === 0) return answer;
    let answered = false;
    const old = from(before.map((entry) => kind.found(entry, false)));
    return answer.pipe(
      tap(() => (answered = true)),
      raceWith(delayed(ctx, PATIENCE_MS).pipe(switchMap(() => old))),
      catchError((error: unknown) => (answered ? throwError(() => error) : old)),
    );
  }

  const same = (one: E, other: E): boolean => kind.matches(one, other) && kind.matches(other, one);

  return {
    name: "cache",
    debugState: () => ({ watches: groups.size }),

    async register(ctx, entry, next) {
      return changes.during(entry.name, async (contested) => {
        const response = await next.register(ctx, entry);
        learn(response, false, contested());
        return response;
      });
    },

    find(ctx, query, next): Observable<F> {
      if (query.watch) return next.find(ctx, query);
      return defer(() => {
        const asked = kind.asked(query);
        const fresh = ctx.get(bypassCache) ? [] : known(ctx, asked);
        if (fresh.length > 0) return from(fresh.map((entry) => kind.found(entry, false)));
        const before = ctx.get(bypassCache) ? [] : lastKnown(ctx, asked);
        if (ctx.get(cachedOnly)) return from(before.map((entry) => kind.found(entry, false)));
        let shown: E | undefined;
        const answer = next.find(ctx, query).pipe(
          tap({
            next: (found) => (shown ??= kind.entry(found)),
            complete() {
              const like = asked && shown && watchFor(asked, shown);
              if (like) open(ctx, like, next);
            },
          }),
        );
        return orBefore(ctx, answer, before);
      });
    },

    async unregister(ctx, entry, next) {
      await changes.during(entry.name, async (contested) => {
        try {
          await next.unregister(ctx, entry);
        } catch (error) {
          // The Unregister may have succeeded anyway.
          learn(entry, true, true);
          throw error;
        }
        learn(entry, true, contested());
      });
    },
  };
}

/** The key of a group: its query as text. */
function keyOf(like: object): string {
  return JSON.stringify(like);
}
