import type { RegistryEntry } from "../core/index.js";

/** Entries by name, and by the services they belong to. */
export class EntryIndex<E extends RegistryEntry> {
  private readonly byName = new Map<string, E>();
  private readonly byService = new Map<string, Map<string, E>>();

  constructor(private readonly services: (entry: E) => readonly string[]) {}

  get size(): number {
    return this.byName.size;
  }

  get(name: string): E | undefined {
    return this.byName.get(name);
  }

  /** Stores an entry at the position of the entry that it replaces, and returns the replaced entry. */
  put(entry: E): E | undefined {
    const before = this.byName.get(entry.name);
    this.byName.set(entry.name, entry);
    const services = this.services(entry);
    if (before) this.leave(before, services);
    for (const service of services) {
      const all = this.byService.get(service) ?? new Map<string, E>();
      this.byService.set(service, all.set(entry.name, entry));
    }
    return before;
  }

  /** Removes an entry and returns it. */
  delete(name: string): E | undefined {
    const entry = this.byName.get(name);
    if (!entry) return undefined;
    this.byName.delete(name);
    this.leave(entry, []);
    return entry;
  }

  /** Returns the matching entries in the order of their arrival. */
  matching(asked: E | undefined, matches: (asked: E | undefined, entry: E) => boolean): E[] {
    return this.candidates(asked).filter((entry) => matches(asked, entry));
  }

  /** Returns a snapshot of a small set of entries that includes all matching ones. */
  candidates(asked: E | undefined): E[] {
    if (!asked) return [...this.byName.values()];
    if (asked.name !== "") {
      const entry = this.byName.get(asked.name);
      return entry ? [entry] : [];
    }
    const [service] = this.services(asked);
    return [...((service === undefined ? this.byName : this.byService.get(service))?.values() ?? [])];
  }

  /** Removes an entry from its services, except from those in `remaining`. */
  private leave(entry: E, remaining: readonly string[]): void {
    for (const service of this.services(entry)) {
      if (remaining.includes(service)) continue;
      const all = this.byService.get(service);
      all?.delete(entry.name);
      if (all?.size === 0) this.byService.delete(service);
    }
  }
}
