/**
 * Where calls come in: serves a process's services to others, over gRPC or whatever delivers bytes.
 *
 * @packageDocumentation
 */
export { grpcServer, type GrpcServerOptions, type Server } from "./grpc-server.js";
export { assertListenUrl } from "./listener.js";
export type { InboundLimits } from "./limits.js";
export type { Services } from "./services.js";
export { MAX_CONNECTIONS } from "./stream-rules.js";
