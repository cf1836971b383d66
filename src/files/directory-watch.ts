import { watch, type FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";
import type { Clock } from "../core/clock.js";

/** What to watch and whom to tell. */
export interface DirectoryWatchOptions {
  readonly directory: string;
  /** Something in the directory may have changed. */
  readonly onEvent: () => void;
  /** The directory cannot be watched; only the regular looks are left. Told once until it works again. */
  readonly onFailure: (cause: Error) => void;
  /** It is time for a look although nothing was heard. */
  readonly onRecheck: () => void;
  readonly recheckMs: number;
  readonly clock: Clock;
}

const BACKGROUND = { background: true } as const;

/**
 * Tells when the entries of a directory change: files written, renamed over, symlinks swapped. Because a watch
 * can be refused (a limit of the kernel), or stands on a directory that was replaced by another of the same name, or
 * sees nothing of a file that a link points to elsewhere, it also asks for a look at regular intervals, and
 * then stands on the directory that has the name now.
 *
 * A process that has nothing else to do ends, although the watch is open.
 */
export function directoryWatch(options: DirectoryWatchOptions): { close(): void } {
  const { directory, clock, recheckMs } = options;
  let closed = false;
  let watcher: FSWatcher | undefined;
  let watched: string | undefined;
  let failing = false;

  const stop = (): void => {
    watcher?.close();
    watcher = undefined;
    watched = undefined;
  };
  const fail = (cause: Error): void => {
    stop();
    if (!failing) options.onFailure(cause);
    failing = true;
  };
  const start = (): void => {
    try {
      watcher = watch(directory, { persistent: false }, options.onEvent);
      watcher.on("error", fail);
      failing = false;
    } catch (error) {
      fail(error as Error);
    }
  };
  const follow = async (): Promise<void> => {
    // A directory that is gone for the moment is the reader's error to report.
    const found = await stat(directory).then(
      ({ dev, ino }) => `${dev}:${ino}`,
      () => undefined,
    );
    if (closed || found === undefined) return;
    if (watcher !== undefined && (watched === undefined || watched === found)) {
      watched = found;
      return;
    }
    stop();
    start();
    if (watcher !== undefined) watched = found;
  };
  const recheck = (): void => {
    void follow().then(() => {
      if (!closed) options.onRecheck();
    });
    cancel = clock.after(recheckMs, recheck, BACKGROUND);
  };

  start();
  void follow();
  let cancel = clock.after(recheckMs, recheck, BACKGROUND);
  return {
    close() {
      closed = true;
      cancel();
      stop();
    },
  };
}
