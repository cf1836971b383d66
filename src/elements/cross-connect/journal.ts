import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Code, explain, NsmError, type Logger } from "../../core/index.js";
import { makeDirectory } from "../../files/index.js";
import { keyOf, wireRecord, type Wire } from "./wire.js";

/** Remembers wires for a process that comes after this one. */
export interface Journal {
  /** Whether anything is remembered at all. */
  readonly isKept: boolean;
  /** What the process before left. */
  readonly left: readonly Wire[];
  write(wire: Wire): Promise<void>;
  remove(key: string): Promise<void>;
}

/** For a forwarder that remembers nothing. */
export const noJournal: Journal = { isKept: false, left: [], write: async () => {}, remove: async () => {} };

/**
 * A file per wire in a directory of its own, replaced as a whole: whoever reads it sees the old or the new one.
 * It is not synced to the disk, since no wire outlives the machine either. A file that cannot be read is moved
 * aside and told of; one that cannot be written fails with UNAVAILABLE.
 *
 * @throws NsmError FAILED_PRECONDITION when the directory cannot be made or read.
 */
export function journal(directory: string, logger: Logger): Journal {
  const fileOf = (key: string): string => join(directory, fileName(key));

  return {
    isKept: true,
    left: load(directory, logger),

    async write(wire) {
      const file = fileOf(keyOf(wire));
      try {
        await writeFile(`${file}.new`, JSON.stringify(wire), { mode: 0o600 });
        await rename(`${file}.new`, file);
      } catch (cause) {
        await rm(`${file}.new`, { force: true }).catch(() => {});
        throw new NsmError(Code.Unavailable, `cannot remember the wire of ${wire.connection} in ${file}`, {
          cause,
        });
      }
    },

    async remove(key) {
      await rm(fileOf(key), { force: true });
    },
  };
}

/** Namespaces and aliases make no good file names. */
function fileName(key: string): string {
  return `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`;
}

function load(directory: string, logger: Logger): Wire[] {
  let names: string[];
  try {
    makeDirectory(directory, 0o700);
    names = readdirSync(directory);
  } catch (cause) {
    throw new NsmError(Code.FailedPrecondition, `the state directory ${directory} is of no use`, { cause });
  }
  const wires: Wire[] = [];
  for (const name of names) {
    const file = join(directory, name);
    if (name.endsWith(".json.new")) rmSync(file, { force: true }); // its writer died before it was done
    if (!name.endsWith(".json")) continue;
    try {
      wires.push(read(file, name));
    } catch (error) {
      const aside = `${file}.unreadable`;
      renameSync(file, aside);
      logger.error(
        { file: aside, error: explain(error) },
        "a wire of the journal cannot be read and is left alone",
      );
    }
  }
  return wires;
}

function read(file: string, name: string): Wire {
  const { data: wire, error } = wireRecord.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!wire) throw new NsmError(Code.DataLoss, z.prettifyError(error));
  if (fileName(keyOf(wire)) !== name)
    throw new NsmError(Code.DataLoss, "it is about another wire than its name says");
  return wire;
}
