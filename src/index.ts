/**
 * Network Service Mesh in TypeScript. These are the names that most programs need; each folder has more, under
 * `nsm-sdk/core`, `nsm-sdk/elements/…`, `nsm-sdk/chains/…` and so on.
 *
 * @packageDocumentation
 */

// Chains and what travels through them
export {
  chain,
  Code,
  connectionEvents,
  Context,
  ContextKey,
  explain,
  log,
  NsmError,
  peer,
  Slot,
  TimerSlot,
  type Clock,
  type DebugState,
  type Elements,
  type Logger,
  type NetworkService,
  type NetworkServiceElement,
  type Peer,
  type Remotes,
} from "./core/index.js";
export { connectionState } from "./elements/connection-state/index.js";
export {
  Connection,
  connectionOf,
  MechanismClass,
  MechanismType,
  NetworkServiceRequest,
  patchConnection,
  patchIpContext,
  pathOf,
} from "./api/index.js";

// An endpoint
export { serveEndpoint, type ServedEndpoint, type ServeEndpointOptions } from "./chains/endpoint/index.js";
export { beginServer } from "./elements/begin/index.js";
export { updatePath } from "./elements/update-path/index.js";
export { pointToPointIpam } from "./elements/ipam/point-to-point/index.js";
export { mechanismsServer } from "./elements/mechanisms/index.js";
export { kernelClient, kernelServer } from "./elements/mechanisms/kernel/index.js";

// A client
export {
  client,
  connectService,
  type Client,
  type ClientOptions,
  type ConnectServiceOptions,
  type ServiceConnection,
  type ServiceEvent,
} from "./chains/client/index.js";

// Who a process is, and how it reaches others
export { fileIdentity, insecureIdentity, type Identity } from "./identity/index.js";
export { grpcRemotes } from "./outbound/index.js";
