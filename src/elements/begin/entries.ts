import type { NetworkServiceRequest } from "../../api/index.js";
import {
  Code,
  connectionEvents,
  eventCause,
  LiveConnections,
  liveConnections,
  NsmError,
  type ConnectionEvents,
  type Context,
  type EventOptions,
  type EventOutcome,
  type NetworkService,
} from "../../core/index.js";
import { Endings } from "../../core/endings.js";
import { SerialQueue } from "../../core/serial-queue.js";

/** The state of one connection that begin keeps between calls. */
export interface Established {
  /** The Context of the last successful Request from outside. Events use its values and its time limit. */
  readonly ctx: Context;
  /** The last successful request. Its connection is the last answer. */
  readonly request: NetworkServiceRequest;
  /** Time limit of an event, in milliseconds: the longest time limit of a successful Request from outside. */
  readonly budgetMs: number | undefined;
}

/** One connection: its queue, its last successful request, and the running event. */
export class Entry {
  readonly queue = new SerialQueue();
  private readonly closing = new AbortController();
  private readonly endings = new Endings("connection");
  private event: AbortController | undefined;
  private last: Established | undefined;

  /** The events that elements after begin use to start calls of this connection. */
  private readonly events: ConnectionEvents;

  constructor(
    readonly id: string,
    /** The chain after begin. */
    readonly next: NetworkService,
    private readonly entries: Entries,
    eventsOf: (entry: Entry) => ConnectionEvents,
  ) {
    this.events = eventsOf(this);
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

  /** Returns the Context of a call from outside, with the values for the elements after begin. */
  contextOf(ctx: Context): Context {
    return this.within(ctx.with(eventCause, "user"));
  }

  /**
   * Queues an event. It runs in a Context of its own, with the values and the time limit of the last successful
   * Request. It is skipped if no connection is established when its turn comes, or if `signal` has aborted.
   */
  runEvent(
    { signal, cause = "upstream" }: EventOptions,
    work: (ctx: Context, established: Established) => Promise<void>,
  ): Promise<EventOutcome> {
    return this.queue.run(async () => {
      const { established } = this;
      if (signal?.aborted || this.closed.aborted || !established || !this.entries.holds(this))
        return "skipped";
      const event = new AbortController();
      this.event = event;
      const values = this.within(established.ctx.with(eventCause, cause));
      try {
        await values.detached(
          (ctx) => ctx.withSignal(event.signal, (c) => work(c, established)),
          established.budgetMs,
        );
        return "done";
      } finally {
        this.event = undefined;
      }
    });
  }

  /** Aborts the running event and skips the queued ones, so that a Close does not wait for a heal. */
  preemptEvents(): void {
    const reason = new NsmError(Code.Cancelled, `connection ${this.id} is being closed`);
    this.closing.abort(reason);
    this.event?.abort(reason);
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

/** The entries of one begin element, by connection id. */
export class Entries {
  private readonly entries = new Map<string, Entry>();

  constructor(
    readonly live: LiveConnections,
    private readonly eventsOf: (entry: Entry) => ConnectionEvents,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  get(id: string): Entry | undefined {
    return this.entries.get(id);
  }

  holds(entry: Entry): boolean {
    return this.entries.get(entry.id) === entry;
  }

  /**
   * Runs a Request in turn with the other calls of its connection. If the caller stops waiting first, it
   * rejects with the signal's reason. A Request that fails before the connection is established leaves no
   * entry.
   */
  async run<R>(
    ctx: Context,
    next: NetworkService,
    id: string,
    work: (entry: Entry) => Promise<R>,
  ): Promise<R> {
    if (id === "") throw new NsmError(Code.InvalidArgument, "the connection has no id");
    for (;;) {
      const entry = this.entries.get(id) ?? new Entry(id, next, this, this.eventsOf);
      this.entries.set(id, entry);
      const result = await entry.queue.runOrLeave(ctx.signal, async () => {
        // The connection was closed while this call waited. The call starts again with a new entry.
        if (!this.holds(entry)) return undefined;
        try {
          ctx.throwIfDone();
          return { value: await work(entry) };
        } finally {
          if (!entry.established) {
            await entry.release(ctx);
            this.delete(entry);
          }
        }
      });
      if (result) return result.value;
    }
  }

  delete(entry: Entry): void {
    if (!this.holds(entry)) return;
    entry.established = undefined;
    this.entries.delete(entry.id);
  }
}
