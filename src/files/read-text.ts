import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { Code, NsmError } from "../core/errors.js";

/** Larger than any realistic file of rules, keys or prefixes. */
const MOST_BYTES = 4_194_304;

/**
 * Reads the text of a configuration file. It never blocks, whatever the path refers to. A blocking open of a
 * FIFO would wait for a writer and occupy one of the few threads that read files.
 *
 * @throws the system error with its `code`, or NsmError INVALID_ARGUMENT if the file is not regular or too
 * large
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
        `${path} is too large: ${found.size} bytes, the limit is ${MOST_BYTES}`,
      );
    }
    // If the path is a directory, reading fails with the system's own EISDIR error.
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
