/** How messages of one kind stand in for one another while a slow reader lets them wait. */
export interface QueueRules<T> {
  /** Messages of one key replace each other; one without key is kept, and nothing passes it. */
  key(message: T): string | undefined;
  /** Whether it says that something is gone: what comes later must not hide that. */
  gone(message: T): boolean;
  /** A message as parts that can be replaced one by one. */
  split?(message: T): readonly T[];
  /** Neighbours as one message again, or undefined when they do not fit together. */
  join?(first: T, second: T): T | undefined;
}

/**
 * What waits for one reader of a stream. It grows with the number of things told about, never with time: the
 * latest word about a thing replaces the one before, except that a "gone" stays before a "here again".
 */
export class ReaderQueue<T> {
  private readonly waiting = new Map<number, T>();
  private readonly latest = new Map<string, number>();
  private next = 0;

  constructor(private readonly rules: QueueRules<T>) {}

  get size(): number {
    return this.waiting.size;
  }

  push(message: T): void {
    for (const part of this.rules.split?.(message) ?? [message]) this.add(part);
  }

  take(): T | undefined {
    const first = this.shift();
    if (first === undefined || !this.rules.join) return first;
    let taken: T = first;
    for (const second of this.waiting.values()) {
      const joined = this.rules.join(taken, second);
      if (joined === undefined) break;
      this.shift();
      taken = joined;
    }
    return taken;
  }

  private add(message: T): void {
    const key = this.rules.key(message);
    if (key === undefined) {
      this.latest.clear();
    } else {
      const at = this.latest.get(key);
      const before = at === undefined ? undefined : this.waiting.get(at);
      if (before !== undefined && (!this.rules.gone(before) || this.rules.gone(message))) {
        this.waiting.set(at!, message);
        return;
      }
      this.latest.set(key, this.next);
    }
    this.waiting.set(this.next++, message);
  }

  private first(): [number, T] | undefined {
    for (const entry of this.waiting) return entry;
    return undefined;
  }

  private shift(): T | undefined {
    const entry = this.first();
    if (!entry) return undefined;
    const [at, message] = entry;
    this.waiting.delete(at);
    const key = this.rules.key(message);
    if (key !== undefined && this.latest.get(key) === at) this.latest.delete(key);
    return message;
  }
}
