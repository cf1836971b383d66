import type { Context } from "./context.js";
import type { NsmError } from "./errors.js";
import type { EventOptions, EventOutcome } from "./events.js";
import { SerialQueue } from "./serial-queue.js";
import { atEnd } from "./until.js";

/** The state of a key from its first call to its end: of a connection, by its id; of a registration, by name. */
export interface Life {
  /** The last successful call from outside; undefined before the first. */
  readonly established:
    | {
        /** Events use its values. */
        readonly ctx: Context;
        /** The time limit of an event, in milliseconds. Default: the time limit of that call. */
        readonly budgetMs?: number | undefined;
      }
    | undefined;
}

/** One key, in the hands of the call whose turn it is. */
export interface Key<L> {
  /** Set by the call that establishes it, removed by the call that ends it. */
  life: L | undefined;
}

/** Options of KeyedEvents. */
export interface KeyedEventsOptions {
  /** The error of an event that a call from outside preempts. */
  readonly preempted: (id: string) => NsmError;
  /** The lifetime of the program. Aborts running events and prevents new ones. */
  readonly until?: AbortSignal | undefined;
}

class Entry<L> implements Key<L> {
  life: L | undefined;
  readonly queue = new SerialQueue();
  /** The running event. */
  event: AbortController | undefined;
  /** The number of calls that wait or run to end the life. */
  ending = 0;
}

/**
 * Runs the calls and events of each key one at a time in the order of arrival, while other keys proceed in
 * parallel. A call comes from outside. An event is a call that the process starts by itself, to repeat or to end
 * what a call has established. A key is forgotten when it has no life and nothing waits for it.
 *
 * Both begin() elements are built on this: for the Requests and Closes of connections, and for the Registers and
 * Unregisters of registrations.
 */
export class KeyedEvents<L extends Life> {
  private readonly entries = new Map<string, Entry<L>>();

  constructor(private readonly options: KeyedEventsOptions) {
    const { until } = options;
    if (until) atEnd(until, () => this.entries.forEach(({ event }) => event?.abort(until.reason)));
  }

  get size(): number {
    return this.entries.size;
  }

  lifeOf(id: string): L | undefined {
    return this.entries.get(id)?.life;
  }

  /**
   * Runs a call that establishes or renews a life. If its caller stops waiting before its turn, it rejects at
   * once with the signal's reason and never runs. Once it runs, the result is its own outcome.
   */
  async establish<R>(ctx: Context, id: string, work: (key: Key<L>) => Promise<R>): Promise<R> {
    ctx.throwIfDone();
    return new Promise<R>((resolve, reject) => {
      const leave = (): void => reject(ctx.signal.reason as Error);
      ctx.signal.addEventListener("abort", leave, { once: true });
      const turn = this.inTurn(id, async (key) => {
        ctx.signal.removeEventListener("abort", leave);
        ctx.throwIfDone();
        return work(key);
      });
      turn.then(resolve, reject);
    });
  }

  /**
   * Runs a call that may end the life, even if its caller stops waiting. With `preempts`, it aborts the running
   * event and rejects those whose turn comes while it waits, so that it does not wait for retries.
   */
  async end<R>(id: string, preempts: boolean, work: (key: Key<L>) => Promise<R>): Promise<R> {
    const known = preempts ? this.entries.get(id) : undefined;
    if (!known) return this.inTurn(id, work);
    known.ending++;
    known.event?.abort(this.options.preempted(id));
    return this.inTurn(id, work).finally(() => known.ending--);
  }

  /**
   * Runs an event of a life, in a Context of its own with the values and the time limit of the last successful
   * call from outside. It is skipped if the life has ended when its turn comes, or `signal` has aborted.
   */
  event(
    id: string,
    life: L,
    { signal }: EventOptions,
    work: (ctx: Context, established: NonNullable<L["established"]>, key: Key<L>) => Promise<void>,
  ): Promise<EventOutcome> {
    return this.inTurn(id, async (entry) => {
      const { established } = life;
      if (signal?.aborted || this.options.until?.aborted || entry.life !== life || !established)
        return "skipped";
      if (entry.ending > 0) throw this.options.preempted(id);
      const event = new AbortController();
      entry.event = event;
      try {
        await established.ctx.detached(
          (ctx) => ctx.withSignal(event.signal, (own) => work(own, established, entry)),
          established.budgetMs,
        );
        return "done";
      } finally {
        entry.event = undefined;
      }
    });
  }

  private async inTurn<R>(id: string, work: (entry: Entry<L>) => Promise<R>): Promise<R> {
    const entry = this.entries.get(id) ?? new Entry<L>();
    this.entries.set(id, entry);
    try {
      return await entry.queue.run(() => work(entry));
    } finally {
      if (!entry.life && entry.queue.idle && this.entries.get(id) === entry) this.entries.delete(id);
    }
  }
}
