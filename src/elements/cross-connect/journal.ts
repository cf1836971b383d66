import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Code, explain, NsmError, type Logger } from "../../core/index.js";
import { makeDirectory } from "../../files/index.js";
import { keyOf, wireRecord, type Wire } from "./wire.js";

/** Records vWires, so that a later process of this forwarder can recover them. */
export interface Journal {
  /** Whether the journal stores anything. */
  readonly isKept: boolean;
  /** The vWires that the earlier process recorded. */
  readonly left: readonly Wire[];
  write(wire: Wire): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The journal of a forwarder without a state directory. */
export const noJournal: Journal = { isKept: false, left: [], write: async () => {}, remove: async () => {} };

/**
 * Stores one file per vWire in its own directory. Files are replaced atomically, so a reader sees the old or
 * the new content. Files are not synced to disk, because no vWire survives a restart of the machine. An
 * unreadable file is renamed and logged. A failed write throws UNAVAILABLE.
 *
 * @throws NsmError FAILED_PRECONDITION if the directory cannot be created or read.
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
        // The write error is the one to report; the next write replaces what remains.
        await rm(`${file}.new`, { force: true }).catch(() => {});
        throw new NsmError(
          Code.Unavailable,
          `cannot record the vWire of connection ${wire.connection} in ${file}`,
          {
            cause,
          },
        );
      }
    },

    async remove(key) {
      await rm(fileOf(key), { force: true });
    },
  };
}

/** Hashes the key, because namespaces and aliases are not valid file names. */
function fileName(key: string): string {
  return `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`;
}

function load(directory: string, logger: Logger): Wire[] {
  let names: string[];
  try {
    makeDirectory(directory, 0o700);
    names = readdirSync(directory);
  } catch (cause) {
    throw new NsmError(
      Code.FailedPrecondition,
      `state directory ${directory} is not usable: grant read and write access or pass another directory`,
      { cause },
    );
  }
  const wires: Wire[] = [];
  for (const name of names) {
    const file = join(directory, name);
    if (name.endsWith(".json.new")) rmSync(file, { force: true }); // its writer ended before the rename
    if (!name.endsWith(".json")) continue;
    try {
      wires.push(read(file, name));
    } catch (error) {
      const aside = `${file}.unreadable`;
      renameSync(file, aside);
      logger.error(
        { file: aside, error: explain(error) },
        "could not read a journal file, it was renamed and its vWire is not removed",
      );
    }
  }
  return wires;
}

function read(file: string, name: string): Wire {
  const { data: wire, error } = wireRecord.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!wire) throw new NsmError(Code.DataLoss, z.prettifyError(error));
  if (fileName(keyOf(wire)) !== name)
    throw new NsmError(Code.DataLoss, "file name and content name different vWires");
  return wire;
}
