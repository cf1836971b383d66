import type { NetworkServiceEntry } from "../api/index.js";
import { ContextKey } from "../core/context.js";
import type { Labels } from "./matching.js";

/** The connection that a Find selects endpoints for, and the maximum number of endpoints. */
export interface EndpointChoice {
  readonly service: NetworkServiceEntry;
  /** Labels of the client. */
  readonly labels: Labels;
  readonly limit: number;
  /** Set by the cache that has selected endpoints: the result is limited and already rotated. */
  inTurn?: boolean;
}

/**
 * Allows a cache to return some of the endpoints that match a connection, instead of all endpoints of a
 * service. Only a hint: the caller must check the result.
 */
export const endpointChoice = new ContextKey<EndpointChoice>("endpoint-choice");
