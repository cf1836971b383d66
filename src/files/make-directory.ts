import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Makes a directory and the parents it lacks. Returns the first one that was made, or undefined if all were there.
 * Unlike Node's recursive `mkdir`, it reports the system's own reason for a disk that is full or read-only, and
 * ends below /proc, where nothing can be made.
 *
 * @throws the system's error, with its `code`: ENOSPC, EROFS, EACCES, ENOENT, EEXIST for a file of that name
 */
export function makeDirectory(path: string, mode = 0o777): string | undefined {
  const directory = resolve(path);
  try {
    mkdirSync(directory, mode);
    return directory;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(directory).isDirectory()) return undefined;
    const parent = dirname(directory);
    if (code !== "ENOENT" || parent === directory) throw error;
    // A parent that was there all along means that this place takes no directories, as /proc does not.
    const first = makeDirectory(parent, mode);
    if (first === undefined) throw error;
    mkdirSync(directory, mode);
    return first;
  }
}
