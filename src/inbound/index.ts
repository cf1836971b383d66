/**
 * The server side: serves the services of a process to other processes, over gRPC or another transport.
 *
 * @packageDocumentation
 */
export { grpcServer, type GrpcServerOptions, type Server } from "./grpc-server.js";
export type { InboundLimits } from "./limits.js";
export type { Services } from "./services.js";
