import type { NetworkServiceRequest } from "../../api/index.js";
import {
  Code,
  log,
  NsmError,
  SerialQueue,
  type Context,
  type EventOptions,
  type EventOutcome,
  type NetworkService,
} from "../../core/index.js";

/** What begin knows of one connection between its calls. */
export interface Established {
  /** The Context of the last good Request that came from outside: its values and its time serve the events. */
  readonly ctx: Context;
  /** The last good request; its connection is the last answer. */
  readonly request: NetworkServiceRequest;
}

/** One connection: its queue, what was established, and the event under way. */
export class Entry {
  readonly queue = new SerialQueue();
  private readonly closing = new AbortController();
  private event: AbortController | undefined;
  established: Established | undefined;

  constructor(
    readonly id: string,
    private readonly isCurrent: (entry: Entry) => boolean,
  ) {}

  /** See ConnectionEvents.closed. */
  get closed(): AbortSignal {
    return this.closing.signal;
  }

  /**
   * Queues an event. It runs in a Context of its own with the values and the time of the last good Request; it
   * is skipped when nothing is established any more or nobody wants it when its turn comes.
   */
  runEvent(
    { signal }: EventOptions,
    work: (ctx: Context, established: Established) => Promise<void>,
  ): Promise<EventOutcome> {
    return this.queue.run(async () => {
      const { established } = this;
      if (signal?.aborted || this.closed.aborted || !established || !this.isCurrent(this)) return "skipped";
      const event = new AbortController();
      this.event = event;
      try {
        await established.ctx.detached((ctx) => ctx.withSignal(event.signal, (c) => work(c, established)));
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
}

/** The entries of one begin element, by connection id. */
export class Entries {
  private readonly entries = new Map<string, Entry>();
  private readonly isCurrent = (entry: Entry): boolean => this.entries.get(entry.id) === entry;

  get size(): number {
    return this.entries.size;
  }

  get(id: string): Entry | undefined {
    return this.entries.get(id);
  }

  /** Runs a Request in its connection's turn. One that fails before anything was established leaves nothing. */
  async run<R>(id: string, work: (entry: Entry) => Promise<R>): Promise<R> {
    if (id === "") throw new NsmError(Code.InvalidArgument, "the connection has no id");
    for (;;) {
      const entry = this.entries.get(id) ?? new Entry(id, this.isCurrent);
      this.entries.set(id, entry);
      const result = await entry.queue.run(async () => {
        // While we waited it was closed; whoever comes next starts afresh.
        if (!this.isCurrent(entry)) return undefined;
        try {
          return { value: await work(entry) };
        } finally {
          if (!entry.established) this.delete(entry);
        }
      });
      if (result) return result.value;
    }
  }

  delete(entry: Entry): void {
    if (this.isCurrent(entry)) this.entries.delete(entry.id);
  }
}

/** Closes what is established without letting a failure stop what comes after. */
export async function closeQuietly(
  ctx: Context,
  next: NetworkService,
  { request }: Established,
): Promise<void> {
  try {
    await next.close(ctx, request.connection!);
  } catch (error) {
    log(ctx).debug({ err: error, connection: request.connection?.id }, "close before reselect failed");
  }
}
