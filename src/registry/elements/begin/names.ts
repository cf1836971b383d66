import {
  Code,
  connectionEnd,
  explain,
  log,
  NsmError,
  type Context,
  type EventOptions,
  type EventOutcome,
  type RegistryEntry,
} from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";
import { registrationPath, type RegistrationPath } from "../../../wire/index.js";
import { SerialQueue } from "../../../core/serial-queue.js";

/** What is remembered of the last good Register. */
export interface Established<E> {
  /** The Context of the last good Register that came from outside: its values and its time serve the events. */
  readonly ctx: Context;
  /** The registration as it is to be repeated. */
  readonly entry: E;
  readonly path: RegistrationPath | undefined;
}

/** One registration, from its first Register to its Unregister. */
export class Life<E extends RegistryEntry> {
  established: Established<E> | undefined;
  private readonly endings: (() => Promise<unknown>)[] = [];

  /** @param asked what the last Register from outside asked for, whether it succeeded or not */
  constructor(public asked: E) {}

  /** Whether elements behind begin hold something for it. */
  get isHeld(): boolean {
    return this.endings.length > 0;
  }

  /** The Context for elements behind begin that have something to release at the end of the registration. */
  contextOf(ctx: Context): Context {
    return ctx.with(connectionEnd, (work) => this.endings.push(work));
  }

  /**
   * Releases what is still held of a registration that is over: an element between begin and registration-state
   * may have refused the answer of its first Register, or its Unregister.
   */
  async release(ctx: Context): Promise<void> {
    for (const work of this.endings.splice(0)) {
      await work().catch((error: unknown) => {
        log(ctx).warn({ entry: this.asked.name, error: explain(error) }, "could not release what was held");
      });
    }
  }
}

/** One name: its queue, the registration that stands, and the event under way. */
export class Name<E extends RegistryEntry> {
  readonly queue = new SerialQueue();
  life: Life<E> | undefined;
  /** How many Unregisters from outside wait for their turn or run. */
  leaving = 0;
  event: AbortController | undefined;
}

/** The names of one begin element. A name without registration is forgotten when its queue is empty. */
export class Names<E extends RegistryEntry> {
  private readonly names = new Map<string, Name<E>>();

  constructor(private readonly until: AbortSignal | undefined) {
    if (until) atEnd(until, () => this.names.forEach(({ event }) => event?.abort(until.reason)));
  }

  get size(): number {
    return this.names.size;
  }

  lifeOf(id: string): Life<E> | undefined {
    return this.names.get(id)?.life;
  }

  /** Runs `work` when the name's earlier calls and events are through. */
  async inTurn<R>(id: string, work: (name: Name<E>) => Promise<R>): Promise<R> {
    const name = this.names.get(id) ?? new Name();
    this.names.set(id, name);
    try {
      return await name.queue.run(() => work(name));
    } finally {
      if (!name.life && name.queue.idle && this.names.get(id) === name) this.names.delete(id);
    }
  }

  /** The same for an Unregister from outside, which does not wait for events that repeat the registration. */
  preempting<R>(id: string, work: (name: Name<E>) => Promise<R>): Promise<R> {
    const known = this.names.get(id);
    if (!known) return this.inTurn(id, work);
    known.leaving++;
    known.event?.abort(preempted(id));
    return this.inTurn(id, work).finally(() => known.leaving--);
  }

  /**
   * Queues an event. It is skipped when nobody wants it or its registration is over when its turn comes. It runs
   * in a Context of its own, with the values and the time of the last good Register.
   */
  runEvent(
    id: string,
    life: Life<E>,
    { signal }: EventOptions,
    work: (ctx: Context, established: Established<E>, name: Name<E>) => Promise<void>,
  ): Promise<EventOutcome> {
    return this.inTurn(id, async (name) => {
      const { established } = life;
      if (signal?.aborted || this.until?.aborted || name.life !== life || !established) return "skipped";
      if (name.leaving > 0) throw preempted(id);
      const event = new AbortController();
      name.event = event;
      // The path's holder is written to on the way, so each event has its own.
      const { ctx, path } = established;
      const values = path ? ctx.with(registrationPath, { current: path }) : ctx;
      try {
        await values.detached((c) => c.withSignal(event.signal, (own) => work(own, established, name)));
        return "done";
      } finally {
        name.event = undefined;
      }
    });
  }
}

function preempted(id: string): NsmError {
  return new NsmError(Code.Cancelled, `${id} is being unregistered`);
}
