/**
 * The spine: context, elements and the chains made of them, state, events, errors, clock.
 *
 * @packageDocumentation
 */
export { backoff, type BackoffOptions } from "./backoff.js";
export { sleep, systemClock, type CancelTimer, type Clock, type TimerOptions } from "./clock.js";
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
  type Provision,
  type TraceHook,
} from "./element.js";
export { asNsmError, Code, codeName, codeOf, explain, isRetryable, NsmError, sharedCode } from "./errors.js";
export {
  connectionEnd,
  connectionEvents,
  eventCause,
  registrationEvents,
  type ConnectionEvents,
  type EventCause,
  type EventOptions,
  type EventOutcome,
  type RegistrationEvents,
  type RequestEventOptions,
  type Reselect,
} from "./events.js";
export { throwFailures } from "./failures.js";
export { grpcTracing, type GrpcTracing } from "./grpc-tracing.js";
export { endpointChoice, type EndpointChoice } from "./endpoint-choice.js";
export { FailureLog } from "./failure-log.js";
export { firstThatWorks } from "./first-that-works.js";
export { remoteUrl, type Link, type Links } from "./link.js";
export { liveConnections, LiveConnections, type RequestedAgain } from "./live-connections.js";
export { log, logger, silent, type Logger } from "./logger.js";
export { makeDirectory } from "./make-directory.js";
export { matchesEndpointQuery, matchesServiceQuery } from "./matching-query.js";
export {
  labelsMatch,
  fittingEndpoints,
  matchEndpoints,
  matchForwarders,
  type EndpointSource,
  type Labels,
} from "./matching.js";
export { peer, type Peer, type Token } from "./peer.js";
export { readText } from "./read-text.js";
export {
  registrationPath,
  type RegistrationPath,
  type RegistrationPathHolder,
  type RegistrationSegment,
} from "./registration-path.js";
export { replaceable, type Replaceable } from "./replaceable.js";
export { SerialQueue } from "./serial-queue.js";
export {
  chain,
  endpointRegistryChain,
  networkServiceRegistryChain,
  type EndpointRegistry,
  monitorChain,
  type MonitorConnection,
  type MonitorElement,
  type NetworkService,
  type NetworkServiceElement,
  type NetworkServiceRegistry,
  type Registry,
  type RegistryElement,
  type RegistryEntry,
} from "./services.js";
export { attempt, Slot, type SlotOptions } from "./slot.js";
export { connectionState, registrationState, type StateKeeper } from "./state.js";
export { cachedOnly, uncached } from "./uncached.js";
export {
  transportConnection,
  type Attachments,
  type TransportConnection,
  type TransportKind,
} from "./transport-connection.js";
export { TimerSlot } from "./timer-slot.js";
export { atEnd, unlessDone } from "./until.js";
export { traceChanges, whenOver, type Ending } from "./trace.js";
