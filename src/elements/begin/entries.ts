import type { NetworkServiceRequest } from "../../api/index.js";
import {
  Code,
  connectionEnd,
  connectionEvents,
  eventCause,
  explain,
  LiveConnections,
  liveConnections,
  log,
  NsmError,
  type ConnectionEvents,
  type Context,
  type EventOptions,
  type EventOutcome,
  type NetworkService,
} from "../../core/index.js";
import { SerialQueue } from "../../core/serial-queue.js";

/** What begin knows of one connection between its calls. */
export interface Established {
  /** The Context of the last good Request that came from outside: its values and its time serve the events. */
  readonly ctx: Context;
  /** The last good request; its connection is the last answer. */
  readonly request: NetworkServiceRequest;
  /** How long an event may take, in milliseconds: the most that a good Request from outside had. */
  readonly budgetMs: number | undefined;
}

/** One connection: its queue, what was established, and the event under way. */
export class Entry {
  readonly queue = new SerialQueue();
  private readonly closing = new AbortController();
  private readonly endings: (() => Promise<unknown>)[] = [];
  private event: AbortController | undefined;
  private last: Established | undefined;

  /** How the elements behind begin start calls of this connection. */
  private readonly events: ConnectionEvents;

  constructor(
    readonly id: string,
    /** The chain behind begin. */
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

  /** After a good Request from outside. */
  establish(ctx: Context, request: NetworkServiceRequest): void {
    const before = this.last;
    // One very short Request does not make later events short as well.
    const budgetMs = Math.max(before?.budgetMs ?? 0, ctx.budgetMs ?? 0) || undefined;
    this.established = { ctx, request, budgetMs };
  }

  /** What the elements behind begin find in the Context of a call from outside. */
  contextOf(ctx: Context): Context {
    return this.within(ctx.with(eventCause, "user"));
  }

  /**
   * Queues an event. It runs in a Context of its own with the values and the time of the last good Request; it
   * is skipped when nothing is established any more or nobody wants it when its turn comes.
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

  /** Ends the event under way and keeps queued ones from starting: a Close does not wait for a heal. */
  preemptEvents(): void {
    const reason = new NsmError(Code.Cancelled, `connection ${this.id} is being closed`);
    this.closing.abort(reason);
    this.event?.abort(reason);
  }

  /**
   * Releases what is still held of a connection that is over: an element between begin and connection-state may
   * have refused the answer of its first Request, or its Close.
   */
  async release(ctx: Context): Promise<void> {
    for (const work of this.endings.splice(0)) {
      await work().catch((error: unknown) => {
        log(ctx).warn({ connection: this.id, error: explain(error) }, "could not release what was held");
      });
    }
  }

  private within(ctx: Context): Context {
    return ctx
      .with(connectionEvents, this.events)
      .with(liveConnections, this.entries.live)
      .with(connectionEnd, (work) => this.endings.push(work));
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
   * Runs a Request in its connection's turn, unless its caller stops waiting before. One that fails before
   * anything was established leaves nothing.
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
        // While we waited it was closed; whoever comes next starts afresh.
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
