import { pathOf, type Connection, type MonitorScopeSelector, type PathSegment } from "../../api/index.js";

/**
 * Whether a connection matches a selector: it has one of the services, and its path contains the segments as a
 * contiguous sequence. An empty selector matches every connection. An empty name, id or token matches any
 * value.
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

/** The segment id that every matching connection must have, or undefined if the selector has none. */
export function idOf({ pathSegments }: MonitorScopeSelector): string | undefined {
  return pathSegments.find(({ id }) => id !== "")?.id;
}

/** A map with several values per key. */
export class MultiMap<T> {
  private readonly things = new Map<string, T[]>();

  /** The number of keys. */
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

/** Finds the items whose selector may match a connection, without checking every item. */
export class SelectorIndex<T extends { readonly selector: MonitorScopeSelector }> {
  private readonly byId = new MultiMap<T>();
  private readonly byService = new MultiMap<T>();
  private readonly byName = new MultiMap<T>();
  private readonly others = new Set<T>();

  /** The number of keys, plus the number of items without a key. */
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

  /** Returns all items whose selector may match the connection, each once. */
  find(connection: Connection): ReadonlySet<T> {
    const found = new Set(this.others);
    for (const thing of this.byService.get(connection.networkService)) found.add(thing);
    for (const { id, name } of pathOf(connection).pathSegments) {
      for (const thing of this.byId.get(id)) found.add(thing);
      for (const thing of this.byName.get(name)) found.add(thing);
    }
    return found;
  }

  /** The most selective key of an item. */
  private placeOf({ selector }: T): readonly [map: MultiMap<T> | undefined, keys: Iterable<string>] {
    const id = idOf(selector);
    if (id !== undefined) return [this.byId, [id]];
    if (selector.networkServices.length > 0) return [this.byService, new Set(selector.networkServices)];
    const name = selector.pathSegments.find((segment) => segment.name !== "")?.name;
    return name === undefined ? [undefined, []] : [this.byName, [name]];
  }
}
