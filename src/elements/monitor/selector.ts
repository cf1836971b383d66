import { pathOf, type Connection, type MonitorScopeSelector, type PathSegment } from "../../api/index.js";

const EVERYTHING = "*";

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

/** Keys one of which every connection has that a selector matches: the fewer connections share them the better. */
export function keysOfSelector({ networkServices, pathSegments }: MonitorScopeSelector): readonly string[] {
  const id = pathSegments.find((segment) => segment.id !== "")?.id;
  if (id !== undefined) return [`id ${id}`];
  if (networkServices.length > 0) return networkServices.map((service) => `service ${service}`);
  const name = pathSegments.find((segment) => segment.name !== "")?.name;
  return [name === undefined ? EVERYTHING : `name ${name}`];
}

/** The keys of a connection, each once. */
export function keysOfConnection(connection: Connection): ReadonlySet<string> {
  const keys = new Set([EVERYTHING, `service ${connection.networkService}`]);
  for (const { id, name } of pathOf(connection).pathSegments) keys.add(`id ${id}`).add(`name ${name}`);
  return keys;
}

/** Things by the keys they have. */
export class KeyIndex<T> {
  private readonly things = new Map<string, Set<T>>();

  /** How many keys lead somewhere. */
  get size(): number {
    return this.things.size;
  }

  add(keys: Iterable<string>, thing: T): void {
    for (const key of keys) {
      const known = this.things.get(key);
      if (known) known.add(thing);
      else this.things.set(key, new Set([thing]));
    }
  }

  delete(keys: Iterable<string>, thing: T): void {
    for (const key of keys) {
      const known = this.things.get(key);
      known?.delete(thing);
      if (known?.size === 0) this.things.delete(key);
    }
  }

  /** All things that have one of the keys, each once. */
  find(keys: Iterable<string>): ReadonlySet<T> {
    const found = new Set<T>();
    for (const key of keys) this.things.get(key)?.forEach((thing) => found.add(thing));
    return found;
  }
}
