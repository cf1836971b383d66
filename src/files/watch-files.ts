import { Subject, type Observable } from "rxjs";
import { systemClock, type CancelTimer, type Clock } from "../core/clock.js";
import { asNsmError, explain, NsmError } from "../core/errors.js";
import { directoriesOf } from "./directories.js";

/** What was read from the files at one moment. */
export interface Reading<T> {
  /** Equal if nothing has changed. */
  readonly text: string;
  readonly value: T;
}

/** What to watch, and how to read it. */
export interface WatchFilesOptions<T> {
  readonly files: readonly string[];
  /** Reads and checks the files. Throws if they are missing or not usable. */
  readonly read: () => Promise<Reading<T>>;
  /**
   * Whether usable files are complete. A certificate and its key prove each other, but half a list is a list.
   * Default: false.
   */
  readonly usableIsComplete?: boolean | undefined;
  /** Reports that a directory cannot be watched, so that changes are found late. */
  readonly onProblem: (problem: NsmError) => void;
  /** How often the files are read even if no directory reports a change, in milliseconds. Default: 60,000. */
  readonly recheckMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** The value of files that may change. */
export interface WatchedFiles<T> {
  /** The last usable value. */
  current(): T;
  /** Emits current() after each change. Completes on close(). */
  readonly changes: Observable<T>;
  /** Emits why changed files are not usable, once per reason. Completes on close(). */
  readonly failures: Observable<NsmError>;
  close(): void;
}

const RECHECK_MS = 60_000;

// A file that is written in place is briefly empty or incomplete, and several files cannot be replaced at once.
const SETTLE_MS = 500;

const FAILED = Symbol("failed");

/** Why the files are read. */
type Cause = "event" | "recheck" | "settled";

/**
 * Reads files and follows their changes: written in place, renamed over, a replaced symlink as in Kubernetes
 * volumes, and a replaced directory.
 *
 * A change counts when it has settled: if a second reading after 500 ms still finds the same text, or still
 * fails. Usable files that are also complete count at once. While the files are not usable, the last usable value
 * stays.
 *
 * @throws what `read` throws, if the files are not usable at the start
 */
export async function watchFiles<T>(options: WatchFilesOptions<T>): Promise<WatchedFiles<T>> {
  const { files, read, usableIsComplete = false, onProblem } = options;
  const { clock = systemClock, recheckMs = RECHECK_MS } = options;
  let accepted = await read();
  const changes = new Subject<T>();
  const failures = new Subject<NsmError>();
  let closed = false;
  let reported: string | undefined;

  /** What the last reading found, if it has not settled. */
  let pending: string | typeof FAILED | undefined;
  let cancelSettle: CancelTimer | undefined;
  const settle = (): void => {
    cancelSettle ??= clock.after(SETTLE_MS, () => {
      cancelSettle = undefined;
      look("settled");
    });
  };
  const settled = (): void => {
    cancelSettle?.();
    cancelSettle = undefined;
  };

  const accept = (reading: Reading<T>): void => {
    settled();
    pending = undefined;
    reported = undefined;
    if (reading.text === accepted.text) return;
    accepted = reading;
    changes.next(reading.value);
  };
  const found = (reading: Reading<T>, causes: ReadonlySet<Cause>): void => {
    const same = pending === reading.text;
    if (usableIsComplete || reading.text === accepted.text || (same && causes.has("settled")))
      return accept(reading);
    // Another text starts the time anew.
    if (!same) settled();
    pending = reading.text;
    settle();
  };
  const failed = (error: NsmError, causes: ReadonlySet<Cause>): void => {
    const again = pending === FAILED;
    if (!again) settled();
    pending = FAILED;
    if (!again || (!causes.has("settled") && !causes.has("recheck"))) return settle();
    settled();
    const text = explain(error);
    if (text !== reported) failures.next(error);
    reported = text;
  };

  // Only one reading at a time. Changes during a reading cause one more.
  const wanted = new Set<Cause>();
  let reading = false;
  const look = (cause: Cause): void => {
    wanted.add(cause);
    if (!reading) void readWanted();
  };
  const readWanted = async (): Promise<void> => {
    reading = true;
    while (wanted.size > 0 && !closed) {
      const causes = new Set(wanted);
      wanted.clear();
      const now = await read().catch(asNsmError);
      if (closed) return;
      if (now instanceof NsmError) failed(now, causes);
      else found(now, causes);
      await directories.followLinks();
    }
    reading = false;
  };

  const directories = directoriesOf(files, {
    clock,
    recheckMs,
    onEvent: () => look("event"),
    onRecheck: () => look("recheck"),
    onProblem,
  });
  // Catches changes between the first reading and the start of the watch.
  look("event");
  return {
    current: () => accepted.value,
    changes: changes.asObservable(),
    failures: failures.asObservable(),
    close() {
      closed = true;
      settled();
      directories.close();
      changes.complete();
      failures.complete();
    },
  };
}
