import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code, NsmError } from "../../core/index.js";
import { makeDirectory } from "../../files/index.js";
import { namespaceUrl } from "../../elements/mechanisms/kernel/index.js";
import { currentNamespace, lockDirectory, openNamespace, type NetworkNamespace } from "../../linux/index.js";
import { withFlag } from "../config/values.js";

/** More than one file of the state directory needs. */
const PROBE_BYTES = 4_096;

/** The capabilities that programs need, by their numbers in Linux. */
const CAPABILITIES = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n } as const;
type Capability = keyof typeof CAPABILITIES;

/**
 * Checks that this process has capabilities.
 *
 * @throws NsmError PERMISSION_DENIED naming those that are missing
 */
export function assertCapabilities(
  needed: readonly Capability[],
  what: string,
  status = readFileSync("/proc/thread-self/status", "utf8"),
): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const missing = needed.filter((name) => ((effective >> CAPABILITIES[name]) & 1n) === 0n);
  if (missing.length === 0) return;
  throw new NsmError(
    Code.PermissionDenied,
    `this process lacks ${missing.join(" and ")}, which it needs ${what}: run it as root, in a container with --cap-add SYS_ADMIN --cap-add NET_ADMIN, inside unshare -Urn, or with --control-plane-only`,
  );
}

/**
 * Makes a directory if it is missing, and checks that files can be written there.
 *
 * @throws NsmError FAILED_PRECONDITION with the system's reason as its cause
 */
export function assertWritable(flag: string, directory: string): void {
  const probe = join(directory, `.probe-${process.pid}`);
  try {
    makeDirectory(directory);
    // With content: on a full disk an empty file can still be made.
    try {
      writeFileSync(probe, Buffer.alloc(PROBE_BYTES));
    } finally {
      rmSync(probe, { force: true });
    }
  } catch (cause) {
    throw new NsmError(
      Code.FailedPrecondition,
      `${flag} "${directory}" is not writable: grant write access or choose another directory`,
      { cause },
    );
  }
}

/**
 * Keeps a directory for this process, because two that remember things in one directory would undo each other's work.
 *
 * @returns what gives it free; the end of the process does, too
 * @throws NsmError FAILED_PRECONDITION if another process has it
 */
export function lockedFor(flag: string, directory: string): () => void {
  const release = lockDirectory(directory);
  if (release) return release;
  throw new NsmError(
    Code.FailedPrecondition,
    `${flag} "${directory}" is in use by another process: give each its own`,
  );
}

/** Opens the namespace of `--netns`, or the process's own. A value that names none is a configuration error. */
export function openNetns(path: string | undefined): NetworkNamespace {
  if (path === undefined) return openNamespace(namespaceUrl(path));
  return withFlag("--netns", path, () => openNamespace(namespaceUrl(path)));
}

/** Whether a path names the network namespace of this process. */
export function isOwnNamespace(namespace: NetworkNamespace): boolean {
  const own = currentNamespace();
  own.close();
  return own.inode === namespace.inode && own.device === namespace.device;
}
