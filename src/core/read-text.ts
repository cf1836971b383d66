import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { Code, NsmError } from "./errors.js";

/** More than any file of rules, keys or prefixes that somebody wrote. */
const MOST_BYTES = 4_194_304;

/**
 * The text of a configuration file. It answers at once whatever the path names: opening a FIFO would wait for a
 * writer and hold one of the few threads that read files.
 *
 * @throws the system's error, with its `code`, or NsmError INVALID_ARGUMENT for what is no regular file, or too large
 */
export async function readText(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile() && !found.isDirectory())
      throw new NsmError(Code.InvalidArgument, `${path} is not a regular file`);
    if (found.size > MOST_BYTES) {
      throw new NsmError(
        Code.InvalidArgument,
        `${path} is ${found.size} bytes large; at most ${MOST_BYTES} are read`,
      );
    }
    // Of a directory the system says itself what it is.
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
