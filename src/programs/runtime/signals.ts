/** Requests of the operator, sent as signals. */
export interface OperatorSignals {
  /**
   * Aborts when the program must stop: on SIGTERM, SIGINT, SIGHUP or SIGQUIT, or when its stdout is closed.
   * The reason names the cause.
   */
  readonly stop: AbortSignal;
  /**
   * Called with `true` on SIGUSR1 and with `false` on SIGUSR2; called immediately if SIGUSR1 came earlier. A
   * program can also report something on SIGUSR2, which changes nothing while the log level is the configured
   * one.
   */
  onVerbose(listener: (verbose: boolean) => void): void;
  /** Called when stdout is open but cannot be written, for example on a full disk. */
  onUnwritable(listener: (error: Error) => void): void;
}

/**
 * A second Ctrl-C after this time ends the process at once. An earlier one may be a copy: npm forwards them.
 */
const IMPATIENT_AFTER_MS = 1_000;

/**
 * Installs all signal handlers. Call it before loading heavy modules: until then, SIGTERM ends the process
 * midway, and SIGUSR1 opens Node's debugger.
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

  // Writing to a pipe without a reader fails with EPIPE. A program without events on stdout cannot serve its
  // caller, so it stops; without logs, it can still close its connections. Other errors may be temporary:
  // connections outlive them.
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
