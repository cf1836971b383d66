import { closeSync } from "node:fs";
import { O_PATH, SOL_SOCKET } from "../constants.js";
import { libc } from "../libc.js";
import { fileId, namespaceDevice } from "./file-id.js";

const F_GETFL = 3;
const SO_LINGER = 13;
/** Maximum number of threads that close descriptors. */
const MAX_CLOSING = 64;
/** Maximum number of descriptors that wait for such a thread. */
const MAX_WAITING = 256;
const CHECK_MS = 100;

/** Threads that are closing a descriptor. */
const closing = new Set<bigint>();
/** Descriptors that wait for a thread. */
const waiting: number[] = [];
let timer: NodeJS.Timeout | undefined;

/**
 * Closes a descriptor that a peer has passed, or its duplicate, without waiting. Closing an ordinary file asks its
 * file system, which the peer may serve and never answer; closing a socket can wait for its unsent data. So a thread
 * of its own closes everything but namespaces and `O_PATH` descriptors.
 *
 * Source: close(2), FUSE_FLUSH.
 */
export function closeReceived(fd: number): void {
  if (closesAtOnce(fd)) return closeSync(fd);
  waiting.push(fd);
  closeWaiting();
}

/**
 * Whether further descriptors may be received. False while peers keep too many descriptors from closing, because
 * the process would run out of them.
 */
export function canReceiveDescriptors(): boolean {
  return waiting.length < MAX_WAITING;
}

function closesAtOnce(fd: number): boolean {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  if (flags >= 0 && (flags & O_PATH) !== 0) return true;
  try {
    return fileId(fd).device === namespaceDevice();
  } catch {
    // Fails, for example, on a file of a removed device.
    return false;
  }
}

function closeWaiting(): void {
  for (const thread of closing) if (libc().hasEnded(thread)) closing.delete(thread);
  while (waiting.length > 0 && closing.size < MAX_CLOSING) {
    const fd = waiting[0]!;
    const none = Buffer.alloc(8); // struct linger
    libc().setsockopt(fd, SOL_SOCKET, SO_LINGER, none, none.length);
    const thread = libc().closeInThread(fd);
    if (thread === undefined) break;
    waiting.shift();
    closing.add(thread);
  }
  clearTimeout(timer);
  timer = closing.size + waiting.length > 0 ? setTimeout(closeWaiting, CHECK_MS).unref() : undefined;
}
