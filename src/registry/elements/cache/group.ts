import { concat, connect, defer, merge, mergeMap, take, tap, throwError, toArray } from "rxjs";
import type { Subscription } from "rxjs";
import { Code, NsmError, type Context, type Registry, type RegistryEntry } from "../../../core/index.js";
import { EntryIndex } from "../../entry-index.js";
import type { EntryChoices, RegistryKind, WatchableQuery } from "../../kinds/index.js";

/** The entries that look like `like`, kept up to date by a watch. */
export class Group<E extends RegistryEntry, Q extends WatchableQuery, F> {
  readonly entries: EntryIndex<E>;
  readonly choices: EntryChoices<E> | undefined;
  /** Whether everything there is has been shown. */
  live = false;
  /** Names that the watch reported since it was opened: a Find beside it may be older. */
  private touched = new Set<string>();
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

  /**
   * Follows the registry. A watch does not mark the end of its first set, so a Find beside it completes that. The
   * Find starts with the first message of the watch: what is deleted after the Find was answered is then reported
   * by the watch. `onChange` runs after each message, `onBreak` when the watch or the Find fails.
   */
  follow(
    ctx: Context,
    registry: Registry<E, Q, F>,
    onChange: () => void,
    onBreak: (why: unknown) => void,
  ): void {
    const { kind, like } = this;
    const watch = concat(registry.find(ctx, kind.query(like, true)), throwError(ended)).pipe(
      tap((found) => {
        const entry = kind.entry(found);
        if (entry) this.note(entry, kind.isDeleted(found));
      }),
    );
    const complete = defer(() => registry.find(ctx, kind.query(like, false))).pipe(
      toArray(),
      tap((all) => this.complete(all.map(kind.entry).filter((entry) => entry !== undefined))),
    );
    const both = watch.pipe(
      connect((told) =>
        merge(
          told,
          told.pipe(
            take(1),
            mergeMap(() => complete),
          ),
        ),
      ),
    );
    this.subscription = both.subscribe({ next: onChange, error: onBreak });
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
    for (const entry of found) {
      if (!this.touched.has(entry.name)) this.put(entry);
    }
    this.touched = new Set();
    this.live = true;
  }
}

function ended(): NsmError {
  return new NsmError(Code.Unavailable, "the registry ended the watch");
}
