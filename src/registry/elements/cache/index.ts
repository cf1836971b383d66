/**
 * Answers Finds from watched copies. The first Find of a service goes to the registry and opens a watch of what
 * it asked for: the service, or the service under one URL. Once that has shown all there is, such Finds, and those
 * of its endpoints by name, are answered at once. The registry is asked whenever nothing is found here, while a
 * watch is down, and for every Find that is marked `uncached`. A Register or Unregister through the cache is in it
 * before it is answered. A watch ends when it breaks, when nothing is registered any more, or when another one
 * that is used more takes its place; what has no watch is asked for at the registry.
 * When the registry fails or is silent for a second, a Find is answered with what was known when the watch broke and
 * has not expired since. A Find that is marked `cachedOnly` never goes to the registry.
 *
 * Both registries. Right before dial or connect; after local-bypass. Watches pass through.
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

/** What is cached, and how much. */
export interface CacheOptions<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly kind: RegistryKind<E, Q, F>;
  /** The program's life: when it is over, nothing is watched any more. */
  readonly until: AbortSignal;
  /**
   * How many watches are open at most. Default: 256. Beyond that a service takes the place of the least recently
   * used one when it is itself asked for a second time meanwhile.
   */
  readonly maxWatches?: number | undefined;
}

/** How long a registry may take to answer when its last answer is known. */
const PATIENCE_MS = 1_000;

/** See the module's description. */
export function cache<E extends RegistryEntry, Q extends WatchableQuery, F>({
  kind,
  until,
  maxWatches = 256,
}: CacheOptions<E, Q, F>): RegistryElement<E, Q, F> {
  const groups = new Map<string, Group<E, Q, F>>();
  /** What groups knew when their watch broke, until they are watched again. */
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

  /** What was known when its watch broke is kept for as many groups as may be watched. */
  function keep(key: string, group: Group<E, Q, F>): void {
    broken.delete(key);
    broken.set(key, group);
    for (const oldest of broken.keys()) if (broken.size > maxWatches) broken.delete(oldest);
  }

  /** What the watched groups have to answer a query. */
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

  /** What groups that cannot be watched have to answer a query. */
  function lastKnown(ctx: Context, asked: E | undefined): E[] {
    for (const key of asked ? answering(asked, broken) : []) {
      const group = broken.get(key);
      const found = group ? current(ctx, group, asked) : [];
      if (found.length > 0) return found;
    }
    return [];
  }

  /** A registry may have lost a deletion between its list and its watch: what has expired is not shown. */
  function current(ctx: Context, group: Group<E, Q, F>, asked: E | undefined): E[] {
    const now = ctx.clock.now();
    const isCurrent = (entry: E): boolean => (kind.expiresAt(entry) ?? Infinity) > now;
    const choice = ctx.get(endpointChoice);
    const chosen = choice && group.choices?.choose(choice, isCurrent);
    if (chosen) choice.inTurn = true;
    return (chosen ?? group.entries.matching(asked, kind.matches)).filter(isCurrent);
  }

  /** The groups that may answer a query: those of its service, or all when it asks for a name alone. */
  function answering(asked: E, among: ReadonlyMap<string, unknown>): Iterable<string> {
    const scopes = kind.scopes(asked);
    if (scopes.length > 0) return scopes.map(keyOf);
    // Without service or name it may ask for what is in no group.
    return asked.name === "" ? [] : among.keys();
  }

  /** What to watch after a Find that showed an entry: as little as answers the next such Find. */
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

  /** Takes in a change that was made through us; `contested` when watches reported the entry while it was made. */
  function learn(entry: E, deleted: boolean, contested: boolean): void {
    for (const group of [...groups.values(), ...broken.values()]) {
      const standing = group.entries.get(entry.name);
      // An Unregister of an endpoint that has moved since does not remove it.
      if (deleted && standing && !isAbout(entry, standing)) continue;
      // What was reported is this change, or one before it, or one after it.
      const agreed = deleted ? !standing : standing && same(standing, entry);
      if (deleted || !contested) group.note(entry, deleted);
      if (contested && !agreed) group.doubt();
    }
    for (const [key, group] of [...groups]) if (group.isDone) close(key);
  }

  /** The answer of the registry; what was known before when it fails, or is silent. */
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
          // It may be gone all the same.
          learn(entry, true, true);
          throw error;
        }
        learn(entry, true, contested());
      });
    },
  };
}

/** The name of a group: what its entries look like, as text. */
function keyOf(like: object): string {
  return JSON.stringify(like);
}
