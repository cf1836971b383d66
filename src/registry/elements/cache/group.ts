import { connect, defer, merge, Subject, switchMap, take, tap, toArray, type Subscription } from "rxjs";
import type { Context, Registry, RegistryEntry } from "../../../core/index.js";
import { EntryIndex } from "../../entry-index.js";
import { unending } from "../../unending.js";
import type { EntryChoices, RegistryKind, WatchableQuery } from "../../kinds.js";

/** The callbacks of a group. */
interface Follower {
  /** The watch reported an entry. */
  reported(name: string): void;
  /** The entries or their completeness may have changed. */
  changed(): void;
  /** The watch or the Find failed. */
  broke(why: unknown): void;
}

/** The entries that match `like`, updated by a watch. */
export class Group<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly entries: EntryIndex<E>;
  readonly choices: EntryChoices<E> | undefined;
  /** Whether the group has all entries of the registry. */
  live = false;
  /** Whether the group has ever been live. */
  wasLive = false;
  /** Names reported while not live. A running Find may have older entries for them. */
  private touched = new Set<string>();
  private readonly doubts = new Subject<void>();
  private readonly life = new AbortController();
  private readonly asked: E | undefined;
  private subscription: Subscription | undefined;

  constructor(
    private readonly kind: RegistryKind<E, Q, F>,
    private readonly like: Partial<E>,
  ) {
    this.entries = new EntryIndex(kind.services);
    this.choices = kind.choices(like);
    this.asked = kind.asked(kind.query(like, false));
  }

  /** Aborts when the group is stopped. */
  get signal(): AbortSignal {
    return this.life.signal;
  }

  /**
   * Whether the group is complete and empty. Its watch is then not needed, because a Find without a result goes
   * to the registry anyway.
   */
  get isDone(): boolean {
    return this.live && this.entries.size === 0;
  }

  note(entry: E, deleted: boolean): void {
    if (!this.live) this.touched.add(entry.name);
    if (deleted || !this.kind.matches(this.asked, entry)) this.delete(entry.name);
    else this.put(entry);
  }

  /** Reads all entries from the registry again. Until the answer arrives, the group is not used. */
  doubt(): void {
    this.live = false;
    this.doubts.next();
  }

  /**
   * Watches the registry. A watch does not mark the end of its initial set, so a Find completes it. The Find
   * starts after the first message of the watch, so that the watch reports every deletion after the answer of
   * the Find.
   */
  follow(ctx: Context, registry: Registry<E, Q, F>, { reported, changed, broke }: Follower): void {
    const { kind, like } = this;
    const watch = unending(registry.find(ctx, kind.query(like, true))).pipe(
      tap((found) => {
        const entry = kind.entry(found);
        if (!entry) return;
        this.note(entry, kind.isDeleted(found));
        reported(entry.name);
      }),
    );
    const complete = defer(() => registry.find(ctx, kind.query(like, false))).pipe(
      toArray(),
      tap((all) => this.complete(all.map(kind.entry).filter((entry) => entry !== undefined))),
    );
    const both = watch.pipe(
      connect((shared) =>
        merge(shared, merge(shared.pipe(take(1)), this.doubts).pipe(switchMap(() => complete))),
      ),
    );
    this.subscription = both.subscribe({ next: changed, error: broke });
    // A synchronous event may have stopped the group.
    if (this.life.signal.aborted) this.subscription.unsubscribe();
  }

  stop(): void {
    this.subscription?.unsubscribe();
    this.life.abort();
  }

  private put(entry: E): void {
    this.entries.put(entry);
    this.choices?.put(entry);
  }

  private delete(name: string): void {
    this.entries.delete(name);
    this.choices?.delete(name);
  }

  /** Applies the answer of a Find that started after the watch. The group is then complete. */
  private complete(found: readonly E[]): void {
    const names = new Set(found.map(({ name }) => name));
    for (const { name } of this.entries.candidates(undefined)) {
      if (!names.has(name) && !this.touched.has(name)) this.entries.delete(name);
    }
    for (const entry of found) {
      if (!this.touched.has(entry.name)) this.put(entry);
    }
    this.touched = new Set();
    this.live = true;
    this.wasLive = true;
  }
}
