/** How messages of one kind replace each other while they wait for a slow reader. */
export interface QueueRules<T> {
  /**
   * Messages with the same key replace each other. A message without a key is kept, and none overtakes it.
   */
  key(message: T): string | undefined;
  /** Whether the message reports a removal. Later messages must not hide it. */
  gone(message: T): boolean;
  /** Splits a message into parts that can be replaced one by one. */
  split?(message: T): readonly T[];
  /** Joins two adjacent messages, or returns undefined if they do not fit together. */
  join?(first: T, second: T): T | undefined;
}

/** A waiting message, linked to its neighbors. */
interface Waiting<T> {
  message: T;
  readonly key: string | undefined;
  before?: Waiting<T> | undefined;
  after?: Waiting<T> | undefined;
}

/** The waiting messages of one key. "here" always follows "gone". */
interface Places<T> {
  gone?: Waiting<T> | undefined;
  here?: Waiting<T> | undefined;
}

/**
 * The messages that wait for one reader of a stream. The queue grows with the number of keys, never with
 * time: the latest message of a key replaces the previous one. A "gone" stays in front of a later "here".
 *
 * Every operation takes constant time: the messages form a linked list, and each key knows its messages.
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

  /** Takes the first message, joined with the following ones that fit. */
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
    // Removed again: the reader no longer needs the return in between.
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
