import type { Subscriber } from "rxjs";
import type { RegistryEntry } from "../../../core/index.js";
import { inSlices } from "../../in-slices.js";
import type { RegistryKind, WatchableQuery } from "../../kinds.js";

interface Watcher<E, F> {
  readonly asked: E | undefined;
  readonly subscriber: Subscriber<F>;
  /** Changes that wait until the watcher has been shown what there was; undefined from then on. */
  backlog: Change<E>[] | undefined;
}

/** A change: what was, and what is. */
interface Change<E> {
  readonly before: E | undefined;
  readonly after: E | undefined;
}

/**
 * Those who watch, filed under what they ask for, so that a change meets only those it may concern: a registry
 * has a watch for every endpoint that heals itself.
 */
export class Watchers<E extends RegistryEntry, Q extends WatchableQuery, F> {
  private readonly filed = new Map<string, Set<Watcher<E, F>>>();
  private readonly pending: (() => void)[] = [];
  private draining = false;
  private count = 0;

  constructor(private readonly kind: RegistryKind<E, Q, F>) {}

  get size(): number {
    return this.count;
  }

  /** Shows a new watcher what matches among `entries`, and then every change that concerns it. Returns how to leave. */
  join(asked: E | undefined, subscriber: Subscriber<F>, entries: readonly E[]): () => void {
    const watcher: Watcher<E, F> = { asked, subscriber, backlog: [] };
    const key = this.keyOf(asked);
    let stop: (() => void) | undefined;
    // The place in the line decides what it is shown: changes made before are in `entries` already.
    this.enqueue(() => {
      if (subscriber.closed) return;
      this.filed.set(key, (this.filed.get(key) ?? new Set()).add(watcher));
      this.count++;
      stop = inSlices(
        entries,
        (entry) => this.kind.matches(asked, entry) && subscriber.next(this.kind.found(entry, false)),
        () => this.catchUp(watcher),
      );
    });
    return () => {
      stop?.();
      const group = this.filed.get(key);
      if (!group?.delete(watcher)) return;
      this.count--;
      if (group.size === 0) this.filed.delete(key);
    };
  }

  /** Tells everybody whom it concerns of a change. */
  publish(before: E | undefined, after: E | undefined): void {
    this.enqueue(() => {
      for (const key of this.keysOf({ before, after })) {
        for (const watcher of [...(this.filed.get(key) ?? [])]) {
          if (watcher.backlog) watcher.backlog.push({ before, after });
          else this.tell(watcher, { before, after });
        }
      }
    });
  }

  private catchUp(watcher: Watcher<E, F>): void {
    // What follows from telling comes behind.
    for (const change of watcher.backlog ?? []) this.tell(watcher, change);
    watcher.backlog = undefined;
  }

  private tell({ asked, subscriber }: Watcher<E, F>, { before, after }: Change<E>): void {
    if (after && this.kind.matches(asked, after)) subscriber.next(this.kind.found(after, false));
    else if (before && this.kind.matches(asked, before)) subscriber.next(this.kind.found(before, true));
  }

  /** A watcher may call the registry from within an event: what follows from that comes after the event. */
  private enqueue(job: () => void): void {
    this.pending.push(job);
    if (this.draining) return;
    this.draining = true;
    try {
      for (let next = this.pending.shift(); next; next = this.pending.shift()) next();
    } finally {
      this.draining = false;
    }
  }

  private keyOf(asked: E | undefined): string {
    if (!asked) return "all";
    if (asked.name !== "") return `name ${asked.name}`;
    const [service] = this.kind.services(asked);
    return service === undefined ? "all" : `service ${service}`;
  }

  private keysOf({ before, after }: Change<E>): ReadonlySet<string> {
    const keys = new Set(["all"]);
    for (const entry of [before, after]) {
      if (!entry) continue;
      keys.add(`name ${entry.name}`);
      for (const service of this.kind.services(entry)) keys.add(`service ${service}`);
    }
    return keys;
  }
}
