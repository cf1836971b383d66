import { ContextKey } from "../core/context.js";

/** One hop between the client of the registry and the registry. */
export interface RegistrationSegment {
  readonly token: string;
}

/** The hops of a registration. `index` is the position of the sender. It travels in the header `path`. */
export interface RegistrationPath {
  readonly index: number;
  readonly segments: readonly RegistrationSegment[];
}

/**
 * The path of a Register or Unregister in progress. The registry messages have no field for it, so the answer
 * returns it beside the message. Each caller of a next hop replaces `current` with the path from the answer.
 */
export interface RegistrationPathHolder {
  current: RegistrationPath;
}

/** Inbound sets it from the header. update-path and outbound read and replace it. */
export const registrationPath = new ContextKey<RegistrationPathHolder>("registration-path");
