import { ContextKey } from "../core/context.js";

/** A hop of a registration's way to the registry. */
export interface RegistrationSegment {
  readonly token: string;
}

/** The way of a registration; `index` is the sender's place on it. It travels in the header `path`. */
export interface RegistrationPath {
  readonly index: number;
  readonly segments: readonly RegistrationSegment[];
}

/**
 * The path of a Register or Unregister under way. The registry messages have no room for it, so it comes back
 * beside the answer: whoever calls the next hop replaces `current` by what the answer said.
 */
export interface RegistrationPathHolder {
  current: RegistrationPath;
}

/** Set by inbound from the header; read and replaced by update-path and outbound. */
export const registrationPath = new ContextKey<RegistrationPathHolder>("registration-path");
