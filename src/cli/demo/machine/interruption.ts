import { constants } from "node:os";
import { Code, NsmError } from "../../../core/index.js";

/** Whether somebody wants the demo to end early. */
export interface Interruption {
  /** Aborts with an error that says why. */
  readonly signal: AbortSignal;
  /** What the shell expects of a process that a signal has ended. */
  readonly exitCode: number | undefined;
}

/**
 * Listens from now on to the signals that end a process, so that the demo can clean up instead; also to the end
 * of whoever started it inside a user namespace, and of whoever reads its output.
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
  process.once("disconnect", () => stop("SIGHUP", "interrupted: the command that started this is gone"));
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => stop("SIGPIPE", "interrupted: nobody reads the output"));
  }
  return {
    signal: over.signal,
    get exitCode() {
      return exitCode;
    },
  };
}
