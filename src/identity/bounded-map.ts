/** A map with a size limit, for keys from the network. When it is full, it drops the oldest entry. */
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
    // Deleted first, so that a key that is set again counts as new.
    if (!this.entries.delete(key) && this.entries.size >= this.limit) {
      const [oldest] = this.entries.keys();
      this.entries.delete(oldest!);
    }
    this.entries.set(key, value);
  }
}
