import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Creates a directory and its missing parents. Returns the first directory it created, or undefined if all
 * existed. Unlike Node's recursive `mkdir`, it reports the system's own error for a full or read-only disk.
 * It also terminates below /proc, where no directory can be created.
 *
 * @throws the system's error, with its `code`: ENOSPC, EROFS, EACCES, ENOENT, or EEXIST if a file has that
 * name
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
    // If the parent existed all along, this file system does not accept new directories (such as /proc).
    const first = makeDirectory(parent, mode);
    if (first === undefined) throw error;
    mkdirSync(directory, mode);
    return first;
  }
}
