import { ContextKey } from "../core/index.js";

/** What a caller wants of the logs on the way of its call: 0 says nothing, 1 switches them on, 2 off. */
export type GrpcTracing = 0 | 1 | 2;

/**
 * Set by inbound from the header `grpctracing`, and sent on by outbound with every call that the call leads to.
 *
 * Source: NSM protocol, request headers and credentials.
 */
export const grpcTracing = new ContextKey<GrpcTracing>("grpc-tracing");

/** The header in which a caller's wish for logs travels from hop to hop. */
export const TRACING_HEADER = "grpctracing";

/** What the header says; undefined when there is none or it is none of 0, 1 and 2. */
export function parseTracing(text: string | undefined): GrpcTracing | undefined {
  return text === "0" || text === "1" || text === "2" ? (Number(text) as GrpcTracing) : undefined;
}
