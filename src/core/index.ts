/**
 * The core: context, elements and chains, state, events, errors, clock.
 *
 * @packageDocumentation
 */
export { backoff, type BackoffOptions } from "./backoff.js";
export { sleep, systemClock, type CancelTimer, type Clock, type TimerOptions } from "./clock.js";
export { Context, ContextKey, type ContextOptions } from "./context.js";
export {
  chainOf,
  debugState,
  type ChainBuilder,
  type ChainElement,
  type ChainOptions,
  type DebugState,
  type Elements,
  type Provision,
  type TraceHook,
} from "./element.js";
export {
  asNsmError,
  Code,
  codeName,
  codeOf,
  explain,
  isRefusal,
  isRetryable,
  NsmError,
  sharedCode,
} from "./errors.js";
export {
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
export { tryEach } from "./try-each.js";
export { remoteUrl, type Remote, type Remotes } from "./remote.js";
export { liveConnections, LiveConnections, type RequestedAgain } from "./live-connections.js";
export { log, logger, silent, type Logger } from "./logger.js";
export { peer, type Peer, type Token } from "./peer.js";
export { repeat, repeatCall, type RepeatCallOptions, type RepeatOptions } from "./repeat.js";
export { replaceable, type Replaceable } from "./replaceable.js";
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
export { attempt, Slot } from "./slot.js";
export type { SlotOptions } from "./slot-values.js";
export type { StateKeeper } from "./state-store.js";
export type { Attachments, PeerProcess, TransportConnection, TransportKind } from "./transport-connection.js";
export { TimerSlot } from "./timer-slot.js";
export { unlessDone } from "./until.js";
export { traceChanges, whenOver, type Ending } from "./trace.js";
