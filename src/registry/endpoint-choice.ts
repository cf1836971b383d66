import type { NetworkServiceEntry } from "../api/index.js";
import { ContextKey } from "../core/context.js";
import type { Labels } from "./matching.js";

/** For which connection a Find looks for endpoints, and how many are enough. */
export interface EndpointChoice {
  readonly service: NetworkServiceEntry;
  /** The client's. */
  readonly labels: Labels;
  readonly limit: number;
  /** Set by whoever has chosen: more of them fit, and the first shown is the one whose turn it is. */
  inTurn?: boolean;
}

/**
 * Lets a cache show some of the endpoints that fit a connection in place of all endpoints of a service. Only a hint:
 * whoever finds checks what is found.
 */
export const endpointChoice = new ContextKey<EndpointChoice>("endpoint-choice");
