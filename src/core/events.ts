import type { Connection } from "../api/index.js";
import { ContextKey } from "./context.js";

/**
 * The cause of a call:
 * - `user`: the owner of the connection called
 * - `refresh`: renews the connection before its tokens expire
 * - `heal`: rebuilds a lost connection
 * - `timeout`: closes a connection that its owner did not refresh
 * - `upstream`: a later hop changed, or the elements of this process changed
 */
export type EventCause = "user" | "refresh" | "heal" | "timeout" | "upstream";

/** The cause of the current call, for elements and policies. Set by begin(). */
export const eventCause = new ContextKey<EventCause>("event-cause");

/** Whether an event ran, or was skipped because it was obsolete when its turn came. */
export type EventOutcome = "done" | "skipped";

/** Options of an event. */
export interface EventOptions {
  /** If it aborts before the event starts, the event is skipped. It does not interrupt a running event. */
  readonly signal?: AbortSignal | undefined;
  /** Default: `upstream`. */
  readonly cause?: EventCause | undefined;
}

/**
 * Changes a connection into the request for another endpoint. The hops fill in the fields that it leaves empty.
 */
export type Reselect = (connection: Connection) => Connection;

/** Options of a Request event. */
export interface RequestEventOptions extends EventOptions {
  /**
   * Closes the connection, then requests the connection that this function returns. `true` uses the function
   * that was passed to begin(). Client side only. Default: requests the connection unchanged.
   */
  readonly reselect?: boolean | Reselect | undefined;
  /** Changes the requested connection, for example its labels or its context. */
  readonly patch?: ((connection: Connection) => Connection) | undefined;
}

/**
 * Lets an element after begin() start a Request or Close of its connection. Events of one connection run one at
 * a time, through the chain from begin() on. Each method rejects with the failure of the call.
 */
export interface ConnectionEvents {
  /** Aborts when the final Close of the connection starts. The Close of a reselect does not abort it. */
  readonly closed: AbortSignal;
  /** Requests the connection of the last answer again. */
  request(options?: RequestEventOptions): Promise<EventOutcome>;
  /** Closes the connection permanently. */
  close(options?: EventOptions): Promise<EventOutcome>;
}

/** Set by begin(), for the elements after it. */
export const connectionEvents = new ContextKey<ConnectionEvents>("connection-events");

/**
 * Registers cleanup work for a connection (or registration) that ends without a Close through
 * connectionState(). This happens when an element before it rejects the answer of the first or the last call.
 * Set by begin(), for connectionState() and registrationState().
 */
export const connectionEnd = new ContextKey<(work: () => Promise<unknown>) => void>("connection-end");

/** Lets an element after begin() start a Register or Unregister of its registration. */
export interface RegistrationEvents {
  /** Sends the last registration again. */
  register(options?: EventOptions): Promise<EventOutcome>;
  /** Unregisters permanently. */
  unregister(options?: EventOptions): Promise<EventOutcome>;
}

/** Set by the begin() of a registry, for the elements after it. */
export const registrationEvents = new ContextKey<RegistrationEvents>("registration-events");
