/** A map that forgets what was set first when it is full: for keys that come from the network. */
export class BoundedMap<K, V> {
  private readonly entries = new Map<K, V>();

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.entries.size;
  }

  get(key: K): V | undefined {
    return this.entries.get(key);
  }

  set(key: K, value: V): void {
    // Deleted first: a key that is set again counts as new.
    if (!this.entries.delete(key) && this.entries.size >= this.limit) {
      const [oldest] = this.entries.keys();
      this.entries.delete(oldest!);
    }
    this.entries.set(key, value);
  }
}
