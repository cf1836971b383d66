import type { GrpcTracing } from "../core/index.js";

/** The header in which a caller's wish for logs travels from hop to hop. */
export const TRACING_HEADER = "grpctracing";

/** What the header says; undefined when there is none or it is none of 0, 1 and 2. */
export function parseTracing(text: string | undefined): GrpcTracing | undefined {
  return text === "0" || text === "1" || text === "2" ? (Number(text) as GrpcTracing) : undefined;
}
