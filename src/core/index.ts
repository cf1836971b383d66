/**
 * The spine: context, elements and the chains made of them, state, events, errors, clock.
 *
 * @packageDocumentation
 */
export { backoff, type BackoffOptions } from "./backoff.js";
export { sleep, systemClock, type CancelTimer, type Clock } from "./clock.js";
export { Context, ContextKey, type ContextOptions } from "./context.js";
export { directoryWatch, type DirectoryWatchOptions } from "./directory-watch.js";
export {
  chainOf,
  debugState,
  flatten,
  type ChainBuilder,
  type ChainElement,
  type ChainOptions,
  type DebugState,
  type Elements,
  type Holders,
  type TraceHook,
} from "./element.js";
export { asNsmError, Code, codeName, codeOf, explain, isRetryable, NsmError, sharedCode } from "./errors.js";
export {
  connectionEvents,
  registrationEvents,
  type ConnectionEvents,
  type EventOptions,
  type EventOutcome,
  type RegistrationEvents,
  type RequestEventOptions,
} from "./events.js";
export { firstThatWorks } from "./first-that-works.js";
export { remoteUrl, type Link, type Links } from "./link.js";
export { log, logger, silent, type Logger } from "./logger.js";
export { matchesEndpointQuery, matchesServiceQuery } from "./matching-query.js";
export { labelsMatch, matchEndpoints, matchForwarders, type Labels } from "./matching.js";
export { peer, type Peer, type Token } from "./peer.js";
export {
  registrationPath,
  type RegistrationPath,
  type RegistrationPathHolder,
  type RegistrationSegment,
} from "./registration-path.js";
export { SerialQueue } from "./serial-queue.js";
export {
  chain,
  endpointRegistryChain,
  networkServiceRegistryChain,
  type EndpointRegistry,
  type MonitorConnection,
  type NetworkService,
  type NetworkServiceElement,
  type NetworkServiceRegistry,
  type Registry,
  type RegistryElement,
  type RegistryEntry,
} from "./services.js";
export { connectionState, registrationState, Slot } from "./state.js";
export { transportConnection, type TransportConnection, type TransportKind } from "./transport-connection.js";
export { uncached } from "./uncached.js";
export { TimerSlot } from "./timer-slot.js";
export { atEnd } from "./until.js";
export { traceChanges } from "./trace.js";
