import type { Subscriber } from "rxjs";
import type { RegistryEntry } from "../../../core/index.js";
import { inSlices } from "../../in-slices.js";
import type { RegistryKind, WatchableQuery } from "../../kinds.js";

interface Watcher<E, F> {
  readonly asked: E | undefined;
  readonly subscriber: Subscriber<F>;
  /** Changes that wait until the initial entries have been published; then undefined. */
  backlog: Change<E>[] | undefined;
}

/** A change of an entry: its earlier and its new state. */
interface Change<E> {
  readonly before: E | undefined;
  readonly after: E | undefined;
}

/**
 * The watchers, indexed by their query, so that a change is compared only with the watchers that it may
 * concern. A registry has one watch per endpoint that heals itself.
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

  /**
   * Publishes the matching `entries` to a new watcher, and then every change that concerns it. Returns a
   * function that removes the watcher.
   */
  join(asked: E | undefined, subscriber: Subscriber<F>, entries: readonly E[]): () => void {
    const watcher: Watcher<E, F> = { asked, subscriber, backlog: [] };
    const key = this.keyOf(asked);
    let stop: (() => void) | undefined;
    // The queue position decides which changes the watcher receives: `entries` includes the earlier ones.
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

  /** Publishes a change to every watcher that it concerns. */
  publish(before: E | undefined, after: E | undefined): void {
    this.enqueue(() => {
      for (const key of this.keysOf({ before, after })) {
        for (const watcher of [...(this.filed.get(key) ?? [])]) {
          if (watcher.backlog) watcher.backlog.push({ before, after });
          else this.deliver(watcher, { before, after });
        }
      }
    });
  }

  private catchUp(watcher: Watcher<E, F>): void {
    // Changes that result from publishing are appended.
    for (const change of watcher.backlog ?? []) this.deliver(watcher, change);
    watcher.backlog = undefined;
  }

  private deliver({ asked, subscriber }: Watcher<E, F>, { before, after }: Change<E>): void {
    if (after && this.kind.matches(asked, after)) subscriber.next(this.kind.found(after, false));
    else if (before && this.kind.matches(asked, before)) subscriber.next(this.kind.found(before, true));
  }

  /**
   * Queues a job. A watcher may call the registry during an event; resulting changes are published after the
   * event.
   */
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
