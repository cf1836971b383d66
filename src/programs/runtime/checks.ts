import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code, NsmError } from "../../core/index.js";
import { makeDirectory } from "../../files/index.js";
import { namespaceUrl } from "../../elements/mechanisms/kernel/namespace-url.js";
import { currentNamespace, openNamespace, type NetworkNamespace } from "../../linux/index.js";
import { lockDirectory } from "../../linux/lock-directory.js";
import { withFlag } from "../config/values.js";

/** Larger than any file in the state directory. */
const PROBE_BYTES = 4_096;

/** Linux capabilities that programs need, by number. */
const CAPABILITIES = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n } as const;
type Capability = keyof typeof CAPABILITIES;

/**
 * Checks that this process has capabilities.
 *
 * @throws NsmError PERMISSION_DENIED with the missing ones
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
 * Creates a directory if needed, and checks that files can be written to it.
 *
 * @throws NsmError FAILED_PRECONDITION with the system's error as cause
 */
export function assertWritable(flag: string, directory: string): void {
  const probe = join(directory, `.probe-${process.pid}`);
  try {
    makeDirectory(directory);
    // Writes content, because an empty file can be created even on a full disk.
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
 * Locks a directory for this process. Two processes with one state directory would undo each other's work.
 *
 * @returns a function that releases the lock; the end of the process releases it too
 * @throws NsmError FAILED_PRECONDITION if another process holds the lock
 */
export function lockedFor(flag: string, directory: string): () => void {
  const release = lockDirectory(directory);
  if (release) return release;
  throw new NsmError(
    Code.FailedPrecondition,
    `${flag} "${directory}" is in use by another process: use a different directory for each`,
  );
}

/** Opens the namespace of `--netns`, or the process's own. An invalid value is a configuration error. */
export function openNetns(path: string | undefined): NetworkNamespace {
  if (path === undefined) return openNamespace(namespaceUrl(path));
  return withFlag("--netns", path, () => openNamespace(namespaceUrl(path)));
}

/** Whether a namespace is the network namespace of this process. */
export function isOwnNamespace(namespace: NetworkNamespace): boolean {
  const own = currentNamespace();
  own.close();
  return own.inode === namespace.inode && own.device === namespace.device;
}
