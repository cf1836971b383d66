/**
 * The wire contract: messages generated from `proto/`, the service definitions, and small helpers on them.
 * Messages are values: copy and patch them with the spread operator. `fromPartial` drops fields that newer
 * peers added.
 *
 * @packageDocumentation
 */
export {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  Mechanism,
  MonitorConnectionService,
  MonitorScopeSelector,
  Path,
  PathSegment,
  State,
} from "./generated/connection.js";
export {
  ConnectionContext,
  DNSConfig,
  DNSContext,
  EthernetContext,
  ExtraPrefixRequest,
  IPContext,
  IpFamily,
  IpFamily_Family,
  IpNeighbor,
  PolicyRoute,
  Route,
} from "./generated/connectioncontext.js";
export { Empty } from "./generated/google/protobuf/empty.js";
export { Timestamp } from "./generated/google/protobuf/timestamp.js";
export {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthService,
} from "./generated/grpc/health/v1/health.js";
export { IPAMService, PrefixRequest, PrefixResponse, Type as PrefixRequestType } from "./generated/ipam.js";
export { NetworkServiceRequest, NetworkServiceService } from "./generated/networkservice.js";
export {
  Destination,
  Match,
  Metadata,
  NetworkService as NetworkServiceEntry,
  NetworkServiceEndpoint,
  NetworkServiceEndpointQuery,
  NetworkServiceEndpointRegistryService,
  NetworkServiceEndpointResponse,
  NetworkServiceLabels,
  NetworkServiceQuery,
  NetworkServiceRegistryService,
  NetworkServiceResponse,
} from "./generated/registry.js";
export * from "./connection.js";
export * from "./mechanism.js";
export * from "./time.js";
