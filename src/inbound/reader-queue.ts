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

/** A message that waits, linked to its neighbors. */
interface Waiting<T> {
  message: T;
  readonly key: string | undefined;
  before?: Waiting<T> | undefined;
  after?: Waiting<T> | undefined;
}

/** The messages of one key that wait; a "here" always behind the "gone". */
interface Places<T> {
  gone?: Waiting<T> | undefined;
  here?: Waiting<T> | undefined;
}

/**
 * What waits for one reader of a stream. It grows with the number of keys, never with time: the latest message of a
 * key replaces the one before, except that a "gone" stays before a "here again". Every operation takes constant
 * time: the messages form a linked list, in which each key knows its places.
 */
export class ReaderQueue<T> {
  private readonly places = new Map<string, Places<T>>();
  private first: Waiting<T> | undefined;
  private last: Waiting<T> | undefined;
  private count = 0;

  constructor(private readonly rules: QueueRules<T>) {}

  get size(): number {
    return this.count;
  }

  push(message: T): void {
    for (const part of this.rules.split?.(message) ?? [message]) this.add(part);
  }

  /** The first message, joined with those behind it that fit. */
  take(): T | undefined {
    const first = this.shift();
    if (first === undefined || !this.rules.join) return first;
    let taken: T = first;
    while (this.first) {
      const joined = this.rules.join(taken, this.first.message);
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
      this.append(message, key);
      return;
    }
    const places = this.places.get(key) ?? {};
    this.places.set(key, places);
    if (!this.rules.gone(message)) {
      if (places.here) places.here.message = message;
      else places.here = this.append(message, key);
      return;
    }
    // Gone again: the return in between is no news any more.
    if (places.gone && places.here) this.unlink(places.here);
    places.gone ??= places.here;
    places.here = undefined;
    if (places.gone) places.gone.message = message;
    else places.gone = this.append(message, key);
  }

  private append(message: T, key: string | undefined): Waiting<T> {
    const added: Waiting<T> = { message, key, before: this.last };
    if (this.last) this.last.after = added;
    else this.first = added;
    this.last = added;
    this.count++;
    return added;
  }

  private shift(): T | undefined {
    const { first } = this;
    if (!first) return undefined;
    this.unlink(first);
    this.forget(first);
    return first.message;
  }

  private unlink({ before, after }: Waiting<T>): void {
    if (before) before.after = after;
    else this.first = after;
    if (after) after.before = before;
    else this.last = before;
    this.count--;
  }

  private forget(taken: Waiting<T>): void {
    const { key } = taken;
    const places = key === undefined ? undefined : this.places.get(key);
    if (!places) return;
    if (places.gone === taken) places.gone = undefined;
    if (places.here === taken) places.here = undefined;
    if (!places.gone && !places.here) this.places.delete(key!);
  }
}
