import type { Context, RegistryEntry } from "../../../core/index.js";
import { Endings } from "../../../core/endings.js";
import type { Life } from "../../../core/keyed-events.js";
import type { RegistrationPath } from "../../../wire/index.js";

/** The state of the last successful Register. */
export interface Established<E> {
  /** The Context of the last successful Register from outside. Events use its values and its time limit. */
  readonly ctx: Context;
  /** The entry for repeated registrations. */
  readonly entry: E;
  readonly path: RegistrationPath | undefined;
}

/** One registration, from its first Register to its Unregister. */
export class Registration<E extends RegistryEntry> implements Life {
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
