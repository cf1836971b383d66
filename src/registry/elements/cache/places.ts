/**
 * Decides which keys hold one of `max` places. A key without a place replaces the least recently used key, but
 * only if it was itself used since that key's last use. A few more keys than places, used in turn, therefore do
 * not evict each other.
 */
export class Places {
  /** Keys with a place and their last use, least recently used first. */
  private readonly held = new Map<string, number>();
  /** Keys without a place and their last use, least recently used first. */
  private readonly waiting = new Map<string, number>();
  private uses = 0;

  constructor(private readonly max: number) {}

  /** Records the use of a key if it holds a place. */
  use(key: string): void {
    if (this.held.delete(key)) this.held.set(key, ++this.uses);
  }

  /** Requests a place for a key without one. Returns whether the key got a place, and which key lost its place. */
  take(key: string): { readonly granted: boolean; readonly evicted?: string } {
    const now = ++this.uses;
    const before = this.waiting.get(key);
    this.waiting.delete(key);
    if (this.held.size < this.max) {
      this.held.set(key, now);
      return { granted: true };
    }
    const [oldest] = this.held;
    if (oldest && before !== undefined && before > oldest[1]) {
      this.held.delete(oldest[0]);
      this.held.set(key, now);
      return { granted: true, evicted: oldest[0] };
    }
    this.waiting.set(key, now);
    this.forget();
    return { granted: false };
  }

  /** Releases the place of a key. */
  leave(key: string): void {
    this.held.delete(key);
  }

  /** Limits the number of stored keys without a place. */
  private forget(): void {
    for (const key of this.waiting.keys()) {
      if (this.waiting.size <= REMEMBERED_PER_PLACE * this.max) return;
      this.waiting.delete(key);
    }
  }
}

const REMEMBERED_PER_PLACE = 16;
