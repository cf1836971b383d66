/**
 * Decides which keys hold one of `max` places. A key without a place takes that of the least recently used one,
 * but only if it was itself used since: a few more keys than places, used in turn, do not push each other out.
 */
export class Places {
  /** Keys with a place and their last use, least recently used first. */
  private readonly held = new Map<string, number>();
  /** The same for keys without a place. */
  private readonly waiting = new Map<string, number>();
  private uses = 0;

  constructor(private readonly max: number) {}

  /** Notes the use of a key that may hold a place. */
  use(key: string): void {
    if (this.held.delete(key)) this.held.set(key, ++this.uses);
  }

  /** Asks for a place for a key without one. Returns whether it has one now, and which key lost its place. */
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

  /** Gives a place up. */
  leave(key: string): void {
    this.held.delete(key);
  }

  /** Bounds what is remembered of keys without a place. */
  private forget(): void {
    for (const key of this.waiting.keys()) {
      if (this.waiting.size <= REMEMBERED_PER_PLACE * this.max) return;
      this.waiting.delete(key);
    }
  }
}

const REMEMBERED_PER_PLACE = 16;
