/**
 * For authors of registry stores and elements: both kinds of registry, the matching of entries against queries
 * and clients, indexes over many entries, and the path of a registration.
 *
 * @packageDocumentation
 */
export { endpointChoice, type EndpointChoice } from "./endpoint-choice.js";
export { matchesEndpointQuery, matchesServiceQuery } from "./matching-query.js";
export {
  labelsMatch,
  matchEndpoints,
  matchForwarders,
  type EndpointSource,
  type Labels,
} from "./matching.js";
export { cachedOnly, bypassCache } from "./bypass-cache.js";
export { EntryIndex } from "./entry-index.js";
export { isAbout } from "./is-about.js";
export * from "./kinds.js";
export {
  registrationPath,
  type RegistrationPath,
  type RegistrationPathHolder,
  type RegistrationSegment,
} from "../wire/index.js";
