import type { Connection } from "../api/index.js";
import { ContextKey } from "./context.js";

/**
 * Why a call is made:
 * - `user`: from outside, by whoever owns the connection
 * - `refresh`: to keep it before tokens expire
 * - `heal`: to rebuild what was lost
 * - `timeout`: to close what its owner does not refresh
 * - `upstream`: because something further on changed, or the elements of this process did
 */
export type EventCause = "user" | "refresh" | "heal" | "timeout" | "upstream";

/** Why the call under way is made, for elements and policies. Set by begin(). */
export const eventCause = new ContextKey<EventCause>("event-cause");

/** Whether an event ran, or was not wanted any more when its turn came. */
export type EventOutcome = "done" | "skipped";

/** When an event starts, and how. */
export interface EventOptions {
  /** Aborted before the event's turn comes: the event is skipped. A running event is not disturbed. */
  readonly signal?: AbortSignal | undefined;
  /** Default: `upstream`. */
  readonly cause?: EventCause | undefined;
}

/** Turns a connection into the request for another endpoint. The hops choose what it leaves empty. */
export type Reselect = (connection: Connection) => Connection;

/** How a Request event begins. */
export interface RequestEventOptions extends EventOptions {
  /**
   * Closes the connection first, then requests it with what the function keeps of it. `true` uses the rule that
   * begin() was given. Client side only. Default: the connection is requested as it stands.
   */
  readonly reselect?: boolean | Reselect | undefined;
  /** Changes the connection that is requested: its labels or context, say. */
  readonly patch?: ((connection: Connection) => Connection) | undefined;
}

/**
 * Lets an element behind begin() start a Request or Close of its connection, in turn with all others of that
 * connection and through the chain from begin() on. Rejects with what the call failed with.
 */
export interface ConnectionEvents {
  /** Aborts when the connection is being closed for good; the Close of a reselect does not count. */
  readonly closed: AbortSignal;
  /** Requests again the connection that the last answer brought. */
  request(options?: RequestEventOptions): Promise<EventOutcome>;
  /** Closes the connection for good. */
  close(options?: EventOptions): Promise<EventOutcome>;
}

/** Set by begin(), for the elements behind it. */
export const connectionEvents = new ContextKey<ConnectionEvents>("connection-events");

/**
 * Takes work to do when a connection (or registration) is over and connectionState() was not told: an element
 * further out refused the answer of the first call, or the last one. Set by begin(), for connectionState() and
 * registrationState().
 */
export const connectionEnd = new ContextKey<(work: () => Promise<unknown>) => void>("connection-end");

/** The same for a registration. */
export interface RegistrationEvents {
  /** Sends the last registration again. */
  register(options?: EventOptions): Promise<EventOutcome>;
  /** Takes the registration back for good. */
  unregister(options?: EventOptions): Promise<EventOutcome>;
}

/** Set by the registry's begin(), for the elements behind it. */
export const registrationEvents = new ContextKey<RegistrationEvents>("registration-events");
