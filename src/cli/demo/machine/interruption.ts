import { constants } from "node:os";
import { Code, NsmError } from "../../../core/index.js";

/** A request to end the demo early. */
export interface Interruption {
  /** Aborts with an error that names the cause. */
  readonly signal: AbortSignal;
  /** The exit code for the shell, if a signal ended the demo. */
  readonly exitCode: number | undefined;
}

/**
 * Handles the signals that end a process, so that the demo can clean up first. Also handles the end of its
 * parent process in a user namespace, and of the process that reads its output.
 */
export function interruption(): Interruption {
  const over = new AbortController();
  let exitCode: number | undefined;
  const stop = (signal: "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE", why: string): void => {
    exitCode ??= 128 + constants.signals[signal];
    over.abort(new NsmError(Code.Cancelled, why));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => stop(signal, `interrupted by ${signal}`));
  }
  process.once("disconnect", () => stop("SIGHUP", "interrupted: the parent process has ended"));
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => stop("SIGPIPE", "interrupted: the output was closed"));
  }
  return {
    signal: over.signal,
    get exitCode() {
      return exitCode;
    },
  };
}
