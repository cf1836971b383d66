import type { Observable, Subscription } from "rxjs";
import type { RegistryEntry } from "../../../core/index.js";
import { EntryIndex } from "../../entry-index.js";

/** The entries of one service, kept up to date by a watch. */
export class Group<E extends RegistryEntry> {
  readonly entries: EntryIndex<E>;
  /** Whether everything there is has been shown. */
  live = false;
  /** Names that were spoken of since the watch was opened: a Find beside it may be older. */
  private touched = new Set<string>();
  private readonly life = new AbortController();
  private subscription: Subscription | undefined;

  constructor(services: (entry: E) => readonly string[]) {
    this.entries = new EntryIndex(services);
  }

  /** Ends the watch. */
  get signal(): AbortSignal {
    return this.life.signal;
  }

  /** Whether there is nothing to watch for: a Find that finds nothing is passed on anyway. */
  get isDone(): boolean {
    return this.live && this.entries.size === 0;
  }

  note(entry: E, gone: boolean): void {
    if (!this.live) this.touched.add(entry.name);
    if (gone) this.entries.delete(entry.name);
    else this.entries.put(entry);
  }

  /** Takes what a Find that began after the watch has shown: with it, all that there is is known. */
  complete(found: readonly E[]): void {
    for (const entry of found) {
      if (!this.touched.has(entry.name)) this.entries.put(entry);
    }
    this.touched = new Set();
    this.live = true;
  }

  follow(changes: Observable<unknown>, onBreak: (why: unknown) => void): void {
    this.subscription = changes.subscribe({ error: onBreak });
    // It may have been stopped by what it showed at once.
    if (this.life.signal.aborted) this.subscription.unsubscribe();
  }

  stop(): void {
    this.subscription?.unsubscribe();
    this.life.abort();
  }
}
