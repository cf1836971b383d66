import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

/**
 * Silences grpc-js's own log, unless `GRPC_VERBOSITY` is set. It writes headers of peers to stderr that it
 * cannot read, tokens among them, and past the program's logger. What matters of it reaches the log in errors.
 */
export function silenceGrpcLog(env: Readonly<Record<string, string | undefined>> = process.env): void {
  if (!env.GRPC_VERBOSITY) setLogVerbosity(logVerbosity.NONE);
}
