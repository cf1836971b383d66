import { closeSync, constants, openSync } from "node:fs";
import { errnoOf } from "./errno.js";
import { check, libc } from "./libc.js";

const LOCK_EX_NB = 2 | 4;

/**
 * Locks a directory until the result is called or the process ends, however it ends. No file is written.
 *
 * @returns what releases the lock; undefined if another holder has it
 * @throws SystemCallError where the file system has no locks; Node's error if the directory cannot be opened
 */
export function lockDirectory(path: string): (() => void) | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    check("flock", libc().flock(fd, LOCK_EX_NB));
  } catch (error) {
    closeSync(fd);
    if (errnoOf(error) === "EAGAIN") return undefined;
    throw error;
  }
  return () => closeSync(fd);
}
