import { closeSync, statSync } from "node:fs";
import type { Mechanism } from "../../api/index.js";
import type { PeerProcess } from "../../core/index.js";
import { inodeUrlOf } from "../../linux/index.js";
import { inodeUrlIn, withInodeUrl } from "../request-files/mechanism-url.js";

/** The network namespace that a peer lives in. */
export interface PeerNamespace {
  readonly inodeUrl: string;
  /** A path by which this process can open it while the peer lives. */
  readonly path: string | undefined;
  /** Returns the open descriptor, which the caller closes. */
  take(): number;
  /** Closes the descriptor if it was not taken. */
  close(): void;
}

/** Opens the network namespace of a peer. Returns undefined if this process may not, or if the peer has ended. */
export function namespaceOf(process: PeerProcess | undefined): PeerNamespace | undefined {
  let fd: number | undefined;
  try {
    fd = process?.openNetworkNamespace();
  } catch {
    // Then only a descriptor of the peer helps.
  }
  if (fd === undefined) return undefined;
  const inodeUrl = inodeUrlOf(fd);
  const path = `/proc/${process!.pid}/ns/net`;
  return {
    inodeUrl,
    path: namespaceUrlAt(path) === inodeUrl ? path : undefined,
    take() {
      const taken = fd!;
      fd = undefined;
      return taken;
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

/** What a process calls the namespace that it lives in. Go peers call it so when they could not name its inode. */
const OWN = /^file:\/\/\/proc\/(self|thread-self)\/ns\/net$/;

/**
 * Replaces the name that a peer has for its own namespace by the inode URL of that namespace. Leaves other
 * mechanisms as they are.
 */
export function withNamespaceOf(process: PeerProcess | undefined, mechanism: Mechanism): Mechanism {
  if (!OWN.test(inodeUrlIn(mechanism))) return mechanism;
  const own = namespaceOf(process);
  if (!own) return mechanism;
  own.close();
  return withInodeUrl(mechanism, own.inodeUrl);
}

/** The inode URL of a namespace file. Undefined if this process may not inspect it. */
export function namespaceUrlAt(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `inode://${dev}/${ino}`;
  } catch {
    return undefined;
  }
}
