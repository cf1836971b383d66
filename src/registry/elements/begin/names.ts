import {
  Code,
  NsmError,
  type Context,
  type EventOptions,
  type EventOutcome,
  type RegistryEntry,
} from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";
import { registrationPath, type RegistrationPath } from "../../../wire/index.js";
import { Endings } from "../../../core/endings.js";
import { SerialQueue } from "../../../core/serial-queue.js";

/** The state of the last successful Register. */
export interface Established<E> {
  /** The Context of the last successful Register from outside. Events use its values and its time limit. */
  readonly ctx: Context;
  /** The entry for repeated registrations. */
  readonly entry: E;
  readonly path: RegistrationPath | undefined;
}

/** One registration, from its first Register to its Unregister. */
export class Life<E extends RegistryEntry> {
  established: Established<E> | undefined;
  private readonly endings = new Endings("registration");

  /** @param asked - the entry of the last Register from outside, whether it succeeded or not */
  constructor(public asked: E) {}

  /** Whether elements after begin hold resources for it. */
  get isHeld(): boolean {
    return !this.endings.isEmpty;
  }

  /** The Context for elements after begin, where they can register cleanup for the end of the registration. */
  contextOf(ctx: Context): Context {
    return this.endings.within(ctx);
  }

  /**
   * Releases the remaining resources of a registration that has ended. An element between begin and
   * registration-state may have rejected the answer of its first Register, or its Unregister.
   */
  release(ctx: Context): Promise<void> {
    return this.endings.run(ctx, { entry: this.asked.name });
  }
}

/** One name: its queue, its registration, and the running event. */
export class Name<E extends RegistryEntry> {
  readonly queue = new SerialQueue();
  life: Life<E> | undefined;
  /** The number of Unregisters from outside that are waiting or running. */
  leaving = 0;
  event: AbortController | undefined;
}

/** The names of one begin element. A name without a registration is removed when its queue is empty. */
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

  /** Runs `work` after the earlier calls and events of the name. */
  async inTurn<R>(id: string, work: (name: Name<E>) => Promise<R>): Promise<R> {
    const name = this.names.get(id) ?? new Name();
    this.names.set(id, name);
    try {
      return await name.queue.run(() => work(name));
    } finally {
      if (!name.life && name.queue.idle && this.names.get(id) === name) this.names.delete(id);
    }
  }

  /** Like inTurn(), for an Unregister from outside, which aborts events that repeat the registration. */
  preempting<R>(id: string, work: (name: Name<E>) => Promise<R>): Promise<R> {
    const known = this.names.get(id);
    if (!known) return this.inTurn(id, work);
    known.leaving++;
    known.event?.abort(preempted(id));
    return this.inTurn(id, work).finally(() => known.leaving--);
  }

  /**
   * Queues an event. It is skipped if `signal` has aborted or the registration has ended when its turn comes.
   * It runs in a Context of its own, with the values and the time limit of the last successful Register.
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
      // Elements write to the path holder, so each event has its own.
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
