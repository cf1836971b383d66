/**
 * Where calls come in: serves a process's services to others, over gRPC or whatever delivers bytes.
 *
 * @packageDocumentation
 */
export { notAnAddress, unixPath, type AddressUse } from "./address.js";
export { answerStream, answerUnary, type Answer, type Sink, type StreamAnswer } from "./answer.js";
export {
  handlersOf,
  type Handler,
  type Handlers,
  type StreamHandler,
  type UnaryHandler,
} from "./handlers.js";
export { grpcServer, type GrpcServerOptions, type Server } from "./grpc-server.js";
export { HealthBook } from "./health.js";
export { isListening } from "./is-listening.js";
export { assertListenUrl } from "./listener.js";
export type { IncomingCall } from "./incoming.js";
export type { InboundLimits } from "./limits.js";
export { decodePath, encodePath, MAX_PATH_LENGTH, PATH_HEADER } from "./path-header.js";
export { TRACING_HEADER } from "./tracing-header.js";
export type { QueueRules } from "./reader-queue.js";
export type { Services } from "./services.js";
export { MAX_CONNECTIONS } from "./stream-rules.js";
export { statusOf, type WireStatus } from "./wire-status.js";
