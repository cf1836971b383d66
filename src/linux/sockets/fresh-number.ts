import { closeSync } from "node:fs";
import { check, libc } from "../libc.js";

const F_DUPFD_CLOEXEC = 1030;
const [FIRST, LAST] = [1_024, 65_535];

let last = FIRST - 1;

/**
 * Moves a descriptor to a number that this process has not used for long, and closes the given one. The kernel gives
 * the number of a closed descriptor to the next one, so an old `/proc/self/fd/<n>` would soon lead to another file.
 *
 * @param before - returned if it is free: the number that the same file had before
 */
export function withFreshNumber(fd: number, before?: number): number {
  try {
    if (before !== undefined) {
      const number = lowestFrom(fd, before);
      if (number === before) return number;
      closeSync(number);
    }
    last = lowestFrom(fd, last >= LAST ? FIRST : last + 1);
    return last;
  } finally {
    closeSync(fd);
  }
}

function lowestFrom(fd: number, number: number): number {
  try {
    return check("fcntl", libc().fcntl(fd, F_DUPFD_CLOEXEC, number));
  } catch (error) {
    // The number is beyond the limit of this process, or all numbers behind it are in use.
    if (number === 0) throw error;
    return lowestFrom(fd, number > FIRST ? FIRST : 0);
  }
}
