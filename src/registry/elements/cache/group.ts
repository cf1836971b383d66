import { connect, defer, merge, Subject, switchMap, take, tap, toArray, type Subscription } from "rxjs";
import type { Context, Registry, RegistryEntry } from "../../../core/index.js";
import { EntryIndex } from "../../entry-index.js";
import { unending } from "../../unending.js";
import type { EntryChoices, RegistryKind, WatchableQuery } from "../../kinds.js";

/** What a group calls while it follows the registry. */
interface Follower {
  /** The watch reported an entry. */
  reported(name: string): void;
  /** Something may be different now. */
  changed(): void;
  /** The watch or the Find failed. */
  broke(why: unknown): void;
}

/** The entries that look like `like`, kept up to date by a watch. */
export class Group<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly entries: EntryIndex<E>;
  readonly choices: EntryChoices<E> | undefined;
  /** Whether everything there is has been shown. */
  live = false;
  /** Whether that was so at any time. */
  wasLive = false;
  /** Names that were heard of while not live: a Find under way may be older. */
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

  /** Whether there is nothing to watch for: a Find that finds nothing is passed on anyway. */
  get isDone(): boolean {
    return this.live && this.entries.size === 0;
  }

  note(entry: E, deleted: boolean): void {
    if (!this.live) this.touched.add(entry.name);
    if (deleted || !this.kind.matches(this.asked, entry)) this.delete(entry.name);
    else this.put(entry);
  }

  /** Asks the registry again for all there is; until it has answered, this is not to be relied on. */
  doubt(): void {
    this.live = false;
    this.doubts.next();
  }

  /**
   * Follows the registry. A watch does not mark the end of its first set, so a Find beside it completes that. The
   * Find starts with the first message of the watch: what is deleted after the Find was answered is then reported
   * by the watch.
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
      connect((told) => merge(told, merge(told.pipe(take(1)), this.doubts).pipe(switchMap(() => complete)))),
    );
    this.subscription = both.subscribe({ next: changed, error: broke });
    // It may have been stopped by what it showed at once.
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

  /** Takes the answer of a Find that began after the watch: with it, all that there is is known. */
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
