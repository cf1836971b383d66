import { watch, type FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";
import type { Clock } from "../core/clock.js";

/** What to watch, and the callbacks to run. */
export interface DirectoryWatchOptions {
  readonly directory: string;
  /** Called when something in the directory may have changed. */
  readonly onEvent: () => void;
  /**
   * Called when the directory cannot be watched; only the periodic checks remain. Called once per failure.
   */
  readonly onFailure: (cause: Error) => void;
  /** Called for each periodic check. */
  readonly onRecheck: () => void;
  readonly recheckMs: number;
  readonly clock: Clock;
}

const BACKGROUND = { background: true } as const;

/**
 * Watches the entries of a directory: files written, renamed over, symlinks replaced.
 *
 * A watch alone is not reliable. The kernel can reject it (a limit), it stays on a directory that another one
 * of the same name replaced, and it does not see changes behind symlinks. The watch therefore also calls
 * `onRecheck` periodically, and moves to the directory that has the name now.
 *
 * An open watch does not keep the process alive.
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
    // The reader reports a missing directory itself.
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
