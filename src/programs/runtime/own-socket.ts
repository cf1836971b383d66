import { randomBytes } from "node:crypto";
import { lstat, readdir, rmdir, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isListening } from "../../inbound/is-listening.js";

const SOCKET = "listen.sock";

/**
 * Minimum age of an abandoned folder, in milliseconds. A younger one may belong to a program that is
 * starting.
 */
const ABANDONED_AFTER_MS = 60_000;

/** The default address of a program, for the help text. */
export function ownSocketPattern(program: string): string {
  return `unix://${tmpdir()}/${prefix(program)}PID-RANDOM/${SOCKET}`;
}

/**
 * Creates a new socket address for this process. Other programs on the machine find it through the registry.
 * No other user can guess the folder name and create it first. Also removes folders that killed processes of
 * the same program and user left behind.
 */
export async function ownSocket(program: string): Promise<string> {
  await removeAbandoned(prefix(program));
  const random = randomBytes(6).toString("base64url");
  return `unix://${join(tmpdir(), `${prefix(program)}${process.pid}-${random}`, SOCKET)}`;
}

function prefix(program: string): string {
  // The path of a unix socket has at most 107 bytes.
  return `nsm-${program.replace(/[^\w.-]/g, "_").slice(0, 40)}-`;
}

async function removeAbandoned(start: string): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => []);
  for (const name of names) {
    if (name.startsWith(start) && /^\d+-[\w-]{8}$/.test(name.slice(start.length))) {
      // The program does not depend on the removal, so failures are ignored.
      await removeIfAbandoned(join(tmpdir(), name)).catch(() => undefined);
    }
  }
}

/** Removes a folder of this user if it is empty or contains only a socket on which no process listens. */
async function removeIfAbandoned(folder: string): Promise<void> {
  const found = await lstat(folder);
  const age = Date.now() - found.mtimeMs;
  if (!found.isDirectory() || found.uid !== process.getuid?.() || age < ABANDONED_AFTER_MS) return;
  const content = await readdir(folder);
  const socket = join(folder, SOCKET);
  if (content.length === 1 && content[0] === SOCKET && !(await isListening(socket))) await unlink(socket);
  // Fails if the folder is not empty.
  await rmdir(folder);
}
