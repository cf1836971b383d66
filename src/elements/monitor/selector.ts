import { pathOf, type Connection, type MonitorScopeSelector, type PathSegment } from "../../api/index.js";

/**
 * Whether a connection is among those asked for: of one of the services, and with the segments as a contiguous
 * run anywhere in its path. Nothing named is everything; an empty name, id or token fits all.
 */
export function matchesSelector(
  { networkServices, pathSegments }: MonitorScopeSelector,
  connection: Connection,
): boolean {
  if (networkServices.length > 0 && !networkServices.includes(connection.networkService)) return false;
  const path = pathOf(connection).pathSegments;
  const fits = (wanted: PathSegment, segment: PathSegment | undefined): boolean =>
    segment !== undefined &&
    (wanted.name === "" || wanted.name === segment.name) &&
    (wanted.id === "" || wanted.id === segment.id) &&
    (wanted.token === "" || wanted.token === segment.token);
  const lastStart = path.length - pathSegments.length;
  for (let start = 0; start <= lastStart; start++) {
    if (pathSegments.every((wanted, i) => fits(wanted, path[start + i]))) return true;
  }
  return false;
}

/** The id that every connection must have in its path to match; undefined when none is named. */
export function idOf({ pathSegments }: MonitorScopeSelector): string | undefined {
  return pathSegments.find(({ id }) => id !== "")?.id;
}

/** Several things under one key. */
export class MultiMap<T> {
  private readonly things = new Map<string, T[]>();

  /** How many keys there are. */
  get size(): number {
    return this.things.size;
  }

  add(key: string, thing: T): void {
    const known = this.things.get(key);
    if (known) known.push(thing);
    else this.things.set(key, [thing]);
  }

  delete(key: string, thing: T): void {
    const left = this.things.get(key)?.filter((other) => other !== thing);
    if (left?.length) this.things.set(key, left);
    else this.things.delete(key);
  }

  get(key: string): readonly T[] {
    return this.things.get(key) ?? [];
  }
}

/** Finds what has a selector by the connections it may match, without looking at all of them. */
export class SelectorIndex<T extends { readonly selector: MonitorScopeSelector }> {
  private readonly byId = new MultiMap<T>();
  private readonly byService = new MultiMap<T>();
  private readonly byName = new MultiMap<T>();
  private readonly others = new Set<T>();

  /** How many keys there are, those who have none included. */
  get size(): number {
    return this.byId.size + this.byService.size + this.byName.size + this.others.size;
  }

  add(thing: T): void {
    const [map, keys] = this.placeOf(thing);
    if (!map) this.others.add(thing);
    else for (const key of keys) map.add(key, thing);
  }

  delete(thing: T): void {
    const [map, keys] = this.placeOf(thing);
    if (!map) this.others.delete(thing);
    else for (const key of keys) map.delete(key, thing);
  }

  /** All whose selector may match the connection, each once. */
  find(connection: Connection): ReadonlySet<T> {
    const found = new Set(this.others);
    for (const thing of this.byService.get(connection.networkService)) found.add(thing);
    for (const { id, name } of pathOf(connection).pathSegments) {
      for (const thing of this.byId.get(id)) found.add(thing);
      for (const thing of this.byName.get(name)) found.add(thing);
    }
    return found;
  }

  /** Under what fewest connections share. */
  private placeOf({ selector }: T): readonly [map: MultiMap<T> | undefined, keys: Iterable<string>] {
    const id = idOf(selector);
    if (id !== undefined) return [this.byId, [id]];
    if (selector.networkServices.length > 0) return [this.byService, new Set(selector.networkServices)];
    const name = selector.pathSegments.find((segment) => segment.name !== "")?.name;
    return name === undefined ? [undefined, []] : [this.byName, [name]];
  }
}
