/**
 * Where calls go out: the services of other processes as links, over gRPC or, within one process, over memory.
 *
 * @packageDocumentation
 */
export { attachments, serverPeer, type ServerPeerHolder } from "./caller.js";
export { grpcLinks, type GrpcLinks, type GrpcLinksOptions } from "./grpc.js";
export type { Health, HealthLink, HealthLinks } from "./link.js";
export {
  memoryNetwork,
  type MemoryCaller,
  type MemoryListener,
  type MemoryNetwork,
  type MemoryNetworkOptions,
  type MemoryParty,
  type MemoryServer,
} from "./memory.js";
export type { Delay, MemoryFaults, Undo, Where } from "./memory-faults.js";
export { Following, type FollowingOptions } from "./monitor-following.js";
export { monitorHub, type MonitorHub, type MonitorHubOptions } from "./monitor-hub.js";
export {
  downCauseOf,
  isStale,
  markRequest,
  requestMark,
  restoreMark,
  withDownReason,
  withoutMarks,
  type DownCause,
  type DownReason,
} from "./monitor-marks.js";
export { targetOf } from "./target.js";
export type { OwnSegment, Sighting } from "./monitor-stream.js";
