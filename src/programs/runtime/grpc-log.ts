import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

/**
 * Silences the log of grpc-js, unless `GRPC_VERBOSITY` is set. grpc-js bypasses the program's logger and writes
 * headers that it cannot parse to stderr, including tokens. Errors still reach the program's log.
 */
export function silenceGrpcLog(env: Readonly<Record<string, string | undefined>> = process.env): void {
  if (!env.GRPC_VERBOSITY) setLogVerbosity(logVerbosity.NONE);
}
