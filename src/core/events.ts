import { ContextKey } from "./context.js";

/** Whether an event ran, or was not wanted any more when its turn came. */
export type EventOutcome = "done" | "skipped";

/** When an event starts, and how. */
export interface EventOptions {
  /** Aborted before the event's turn comes: the event is skipped. A running event is not disturbed. */
  readonly signal?: AbortSignal;
}

/** How a Request event begins. */
export interface RequestEventOptions extends EventOptions {
  /** Close first, then ask anew for any endpoint and mechanism. Client side only. */
  readonly reselect?: boolean;
}

/**
 * Lets an element behind begin() start a Request or Close of its connection, in turn with all others of that
 * connection and through the chain from begin() on. Rejects with what the call failed with.
 */
export interface ConnectionEvents {
  /** Aborts when the connection is being closed for good; the Close of a reselect does not count. */
  readonly closed: AbortSignal;
  /** Asks again for the connection that the last answer brought. */
  request(options?: RequestEventOptions): Promise<EventOutcome>;
  /** Closes the connection for good. */
  close(options?: EventOptions): Promise<EventOutcome>;
}

/** Set by begin(), for the elements behind it. */
export const connectionEvents = new ContextKey<ConnectionEvents>("connection-events");

/** The same for a registration. */
export interface RegistrationEvents {
  /** Sends the last registration again. */
  register(options?: EventOptions): Promise<EventOutcome>;
  /** Takes the registration back for good. */
  unregister(options?: EventOptions): Promise<EventOutcome>;
}

/** Set by the registry's begin(), for the elements behind it. */
export const registrationEvents = new ContextKey<RegistrationEvents>("registration-events");
