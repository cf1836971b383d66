/**
 * The NSM v1 protocol, for both ends of a call: addresses, headers, and how errors travel.
 *
 * @packageDocumentation
 */
export {
  registrationPath,
  type RegistrationPath,
  type RegistrationPathHolder,
  type RegistrationSegment,
} from "./registration-path.js";
export { clientLabels, type Environment } from "./client-labels.js";
export { isLocalHost, isLocalUrl, isSameSocket } from "./locality.js";
export { invalidAddress, unixPath, type AddressUse } from "./address.js";
export { decodePath, encodePath, MAX_PATH_LENGTH, PATH_HEADER } from "./path-header.js";
export { statusOf, type WireStatus } from "./status.js";
export { targetOf } from "./target.js";
export { grpcTracing, parseTracing, TRACING_HEADER, type GrpcTracing } from "./grpc-tracing.js";
export { publicUrl } from "./public-url.js";
export { MAX_CONNECTIONS } from "./monitor-message.js";
export { assertFewValues } from "./message-values.js";
export { callAborted, callFailed } from "./call-error.js";
export { DESCRIPTOR_WITHIN_MS, isInodeUrl, receiveDescriptor } from "./descriptors.js";
