import type { NetworkServiceRequest } from "../../api/index.js";
import {
  Code,
  connectionEvents,
  eventCause,
  liveConnections,
  NsmError,
  type ConnectionEvents,
  type Context,
  type EventOptions,
  type EventOutcome,
  type LiveConnections,
  type NetworkService,
} from "../../core/index.js";
import { Endings } from "../../core/endings.js";
import { KeyedEvents, type Key, type Life } from "../../core/keyed-events.js";

/** The state of one connection that begin keeps between calls. */
export interface Established {
  /** The Context of the last successful Request from outside. Events use its values. */
  readonly ctx: Context;
  /** The last successful request. Its connection is the last answer. */
  readonly request: NetworkServiceRequest;
  /** Time limit of an event, in milliseconds: the longest time limit of a successful Request from outside. */
  readonly budgetMs: number | undefined;
}

/** One connection, from its first Request to its Close. */
export class Entry implements Life {
  private readonly closing = new AbortController();
  private readonly endings = new Endings("connection");
  private last: Established | undefined;

  /** The events that elements after begin use to start calls of this connection. */
  private readonly events: ConnectionEvents;

  constructor(
    readonly id: string,
    /** The chain after begin. */
    readonly next: NetworkService,
    private readonly entries: Entries,
  ) {
    this.events = entries.eventsOf(this);
  }

  /** See ConnectionEvents.closed. */
  get closed(): AbortSignal {
    return this.closing.signal;
  }

  get established(): Established | undefined {
    return this.last;
  }

  set established(established: Established | undefined) {
    this.last = established;
    if (established) this.entries.live.add(this.id, this.events);
    else this.entries.live.delete(this.id);
  }

  /** Records a successful Request from outside. */
  establish(ctx: Context, request: NetworkServiceRequest): void {
    const before = this.last;
    // A Request with a short time limit must not shorten later events.
    const budgetMs = Math.max(before?.budgetMs ?? 0, ctx.budgetMs ?? 0) || undefined;
    this.established = { ctx, request, budgetMs };
  }

  /** Records that the final Close starts. */
  end(): void {
    this.established = undefined;
    this.closing.abort(beingClosed(this.id));
  }

  /** Returns the Context of a call from outside, with the values for the elements after begin. */
  contextOf(ctx: Context): Context {
    return this.within(ctx.with(eventCause, "user"));
  }

  /** Queues an event. See KeyedEvents. */
  runEvent(
    options: EventOptions,
    work: (ctx: Context, established: Established, key: Key<Entry>) => Promise<void>,
  ): Promise<EventOutcome> {
    const { cause = "upstream" } = options;
    return this.entries.calls.event(this.id, this, options, (ctx, established, key) =>
      work(this.within(ctx.with(eventCause, cause)), established, key),
    );
  }

  /**
   * Releases the remaining resources of a connection that has ended. An element between begin and
   * connection-state may have rejected the answer of its first Request, or its Close.
   */
  release(ctx: Context): Promise<void> {
    return this.endings.run(ctx, { connection: this.id });
  }

  private within(ctx: Context): Context {
    return this.endings.within(
      ctx.with(connectionEvents, this.events).with(liveConnections, this.entries.live),
    );
  }
}

/** The connections of one begin element, by id. */
export class Entries {
  readonly calls = new KeyedEvents<Entry>({ preempted: beingClosed });

  constructor(
    readonly live: LiveConnections,
    readonly eventsOf: (entry: Entry) => ConnectionEvents,
  ) {}

  /**
   * Runs a Request in turn with the other calls of its connection. A Request that fails before the connection is
   * established leaves no entry.
   */
  async run<R>(
    ctx: Context,
    next: NetworkService,
    id: string,
    work: (entry: Entry) => Promise<R>,
  ): Promise<R> {
    if (id === "") throw new NsmError(Code.InvalidArgument, "the connection has no id");
    return this.calls.establish(ctx, id, async (key) => {
      const entry = (key.life ??= new Entry(id, next, this));
      try {
        return await work(entry);
      } finally {
        if (!entry.established) {
          await entry.release(ctx);
          key.life = undefined;
        }
      }
    });
  }
}

function beingClosed(id: string): NsmError {
  return new NsmError(Code.Cancelled, `connection ${id} is being closed`);
}
