import { ContextKey } from "../core/index.js";

/**
 * The log level that a caller requests along the path of its call: 0 no change, 1 turn logs on, 2 turn them
 * off.
 */
export type GrpcTracing = 0 | 1 | 2;

/**
 * Inbound sets it from the header `grpctracing`. Outbound sends it with every call made on behalf of this
 * one.
 *
 * Source: NSM protocol, request headers and credentials.
 */
export const grpcTracing = new ContextKey<GrpcTracing>("grpc-tracing");

/** The header that carries the requested log level from hop to hop. */
export const TRACING_HEADER = "grpctracing";

/** Parses the header. Returns undefined if it is missing or not 0, 1 or 2. */
export function parseTracing(text: string | undefined): GrpcTracing | undefined {
  return text === "0" || text === "1" || text === "2" ? (Number(text) as GrpcTracing) : undefined;
}
