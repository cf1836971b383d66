import { ContextKey } from "./context.js";

/** What a caller wants of the logs on the way of its call: 0 says nothing, 1 switches them on, 2 off. */
export type GrpcTracing = 0 | 1 | 2;

/**
 * Set by inbound from the header `grpctracing`, and sent on by outbound with every call that the call leads to.
 *
 * Source: NSM protocol, request headers and credentials.
 */
export const grpcTracing = new ContextKey<GrpcTracing>("grpc-tracing");
