/** What the operator of a program asks for from outside. */
export interface OperatorSignals {
  /**
   * Aborts when the program is to stop: on SIGTERM, SIGINT, SIGHUP or SIGQUIT, or when its stdout is closed.
   * The reason says which.
   */
  readonly stop: AbortSignal;
  /**
   * Called with `true` on SIGUSR1 and with `false` on SIGUSR2; at once if SIGUSR1 came before. A program may report
   * something on SIGUSR2 too, which changes nothing while the log level is the configured one.
   */
  onVerbose(listener: (verbose: boolean) => void): void;
  /** Called when something could not be written to stdout although it is open: its disk is full, say. */
  onUnwritable(listener: (error: Error) => void): void;
}

/** A second Ctrl-C later than this ends the process at once. An earlier one may be a copy: npm forwards them. */
const IMPATIENT_AFTER_MS = 1_000;

/**
 * Installs the handlers of all signals. Call it before anything heavy is loaded: until then SIGTERM ends the
 * process halfway, and SIGUSR1 opens Node's debugger.
 */
export function operatorSignals(): OperatorSignals {
  const stop = new AbortController();
  const listeners = new Set<(verbose: boolean) => void>();
  const unwritableListeners = new Set<(error: Error) => void>();
  let stoppedAt: number | undefined;
  let verbose = false;

  const end = (why: string): void => {
    stoppedAt ??= Date.now();
    stop.abort(why);
  };
  for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => end(signal));
  process.on("SIGINT", () => {
    if (stoppedAt !== undefined && Date.now() - stoppedAt > IMPATIENT_AFTER_MS) process.exit(130);
    end("SIGINT");
  });

  const setVerbose = (value: boolean): void => {
    verbose = value;
    for (const listener of listeners) listener(value);
  };
  process.on("SIGUSR1", () => setVerbose(true));
  process.on("SIGUSR2", () => setVerbose(false));

  // Writing to a pipe without a reader fails with EPIPE. Without events on stdout the program is useless to its
  // caller; without logs it can still close its connections. Any other error may pass, and connections outlive it.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") end("stdout was closed");
    else for (const listener of unwritableListeners) listener(error);
  });
  process.stderr.on("error", () => {});

  return {
    stop: stop.signal,
    onVerbose(listener) {
      listeners.add(listener);
      if (verbose) listener(true);
    },
    onUnwritable(listener) {
      unwritableListeners.add(listener);
    },
  };
}
