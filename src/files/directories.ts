import { realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Code, NsmError } from "../core/errors.js";
import { directoryWatch, type DirectoryWatchOptions } from "./directory-watch.js";

/** How to watch the directories of files. */
export interface DirectoriesOptions extends Omit<DirectoryWatchOptions, "directory" | "onFailure"> {
  /** Reports that a directory cannot be watched. */
  readonly onProblem: (problem: NsmError) => void;
}

/** The watches of the directories that hold some files. */
export interface Directories {
  /** Watches where the files are behind symlinks, because the named directories do not report changes there. */
  followLinks(): Promise<void>;
  close(): void;
}

/** Watches the directories of the files. */
export function directoriesOf(
  files: readonly string[],
  { onProblem, ...options }: DirectoriesOptions,
): Directories {
  const { recheckMs, onEvent } = options;
  const watches = new Map<string, { close(): void }>();
  let closed = false;

  const open = (directory: string): void => {
    const onFailure = (cause: Error): void => {
      const text = `${directory} cannot be watched; its files are read every ${recheckMs} ms instead`;
      onProblem(new NsmError(Code.FailedPrecondition, text, { cause }));
    };
    watches.set(directory, directoryWatch({ ...options, directory, onFailure }));
  };
  const named = [...new Set(files.map((file) => dirname(resolve(file))))];
  named.forEach(open);

  const behindLinks = async (): Promise<Set<string>> => {
    const homes = await Promise.all(named.map((directory) => realpath(directory)));
    const targets = await Promise.all(files.map(async (file) => dirname(await realpath(file))));
    return new Set(targets.filter((target) => !homes.includes(target)));
  };
  return {
    async followLinks() {
      // A missing file is found again by the watches that are open.
      const targets = await behindLinks().catch(() => undefined);
      if (closed || !targets) return;
      for (const [directory, watch] of watches) {
        if (named.includes(directory) || targets.has(directory)) continue;
        watch.close();
        watches.delete(directory);
      }
      for (const directory of targets) {
        if (watches.has(directory)) continue;
        open(directory);
        // Catches changes before the watch was open.
        onEvent();
      }
    },
    close() {
      closed = true;
      watches.forEach((watch) => watch.close());
    },
  };
}
