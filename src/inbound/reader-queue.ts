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

/** Where the words about one thing wait; a "here" always behind the "gone". */
interface Places {
  gone?: number | undefined;
  here?: number | undefined;
}

/**
 * What waits for one reader of a stream. It grows with the number of things told about, never with time: the
 * latest word about a thing replaces the one before, except that a "gone" stays before a "here again".
 */
export class ReaderQueue<T> {
  private readonly waiting = new Map<number, T>();
  private readonly places = new Map<string, Places>();
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
      this.places.clear();
      this.append(message);
      return;
    }
    const places = this.places.get(key) ?? {};
    this.places.set(key, places);
    if (!this.rules.gone(message)) {
      if (places.here === undefined) places.here = this.append(message);
      else this.waiting.set(places.here, message);
      return;
    }
    // Gone again: the return in between is no news any more.
    if (places.gone !== undefined && places.here !== undefined) this.waiting.delete(places.here);
    places.gone ??= places.here;
    places.here = undefined;
    if (places.gone === undefined) places.gone = this.append(message);
    else this.waiting.set(places.gone, message);
  }

  private append(message: T): number {
    this.waiting.set(this.next, message);
    return this.next++;
  }

  private shift(): T | undefined {
    for (const [at, message] of this.waiting) {
      this.waiting.delete(at);
      this.forget(this.rules.key(message), at);
      return message;
    }
    return undefined;
  }

  private forget(key: string | undefined, at: number): void {
    const places = key === undefined ? undefined : this.places.get(key);
    if (!places) return;
    if (places.gone === at) places.gone = undefined;
    if (places.here === at) places.here = undefined;
    if (places.gone === undefined && places.here === undefined) this.places.delete(key!);
  }
}
