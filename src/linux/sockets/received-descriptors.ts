import { Code, NsmError, systemClock, type CancelTimer, type Clock } from "../../core/index.js";
import { duplicate } from "./attachable-socket.js";
import { closeReceived } from "./close-received.js";
import { inodeUrlOf } from "./file-id.js";

/** Maximum number of waiting descriptors per connection. When it is exceeded, the oldest is closed. */
export const MAX_WAITING = 256;
/** How long a descriptor waits. Its call arrives together with it, or within the call's own deadline. */
const KEPT_MS = 60_000;
/**
 * How long a descriptor stays after it was taken, for other calls that came with it. An open descriptor keeps a
 * network namespace alive, so it must not stay longer than needed.
 */
const KEPT_AFTER_TAKE_MS = 5_000;

const INODE_URL = /^inode:\/\/\d+\/\d+$/;

interface Waiter {
  readonly resolve: (fd: number) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The descriptors received on one connection, by the file they refer to. The protocol does not link a
 * descriptor to its call, and it can arrive before or after the message that names it.
 */
export class ReceivedDescriptors {
  /** By inode URL, oldest first. */
  private readonly held = new Map<string, number>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private readonly timers = new Map<string, CancelTimer>();
  private over = false;

  constructor(private readonly clock: Clock = systemClock) {}

  /** Takes ownership of a descriptor. */
  arrived(fd: number): void {
    const url = nameOf(fd);
    if (url === undefined || this.over) return closeReceived(fd);
    if (this.held.has(url)) {
      this.keepFor(url, KEPT_MS);
      return closeReceived(fd);
    }
    if (this.held.size >= MAX_WAITING) this.drop(this.held.keys().next().value!);
    this.held.set(url, fd);
    const waiting = [...(this.waiters.get(url) ?? [])];
    this.waiters.delete(url);
    this.keepFor(url, waiting.length > 0 ? KEPT_AFTER_TAKE_MS : KEPT_MS);
    for (const { resolve, reject } of waiting) {
      try {
        resolve(duplicate(fd));
      } catch (error) {
        reject(error as Error);
      }
    }
  }

  /**
   * Waits for a descriptor of this file. The caller closes it.
   *
   * @throws NsmError INVALID_ARGUMENT for an invalid inode URL, UNAVAILABLE if the connection ends first; an
   * abort throws the signal's reason
   */
  async take(url: string, signal: AbortSignal): Promise<number> {
    if (!INODE_URL.test(url)) {
      throw new NsmError(Code.InvalidArgument, `"${url}" is not a descriptor: expected inode://device/inode`);
    }
    if (signal.aborted) throw signal.reason as Error;
    const held = this.held.get(url);
    if (held !== undefined) {
      this.keepFor(url, KEPT_AFTER_TAKE_MS);
      return duplicate(held);
    }
    if (this.over) throw gone(url);
    return new Promise((resolve, reject) => {
      const waiters = this.waiters.get(url) ?? new Set();
      this.waiters.set(url, waiters);
      const settled = (): void => {
        signal.removeEventListener("abort", abort);
        waiters.delete(waiter);
        if (waiters.size === 0 && this.waiters.get(url) === waiters) this.waiters.delete(url);
      };
      const waiter: Waiter = {
        resolve: (fd) => {
          settled();
          resolve(fd);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const abort = (): void => waiter.reject(signal.reason as Error);
      signal.addEventListener("abort", abort, { once: true });
      waiters.add(waiter);
    });
  }

  /** Called at the end of the connection. Closes waiting descriptors and rejects waiting calls. */
  close(): void {
    this.over = true;
    for (const url of [...this.held.keys()]) this.drop(url);
    for (const [url, waiting] of [...this.waiters]) {
      for (const { reject } of [...waiting]) reject(gone(url));
    }
  }

  private keepFor(url: string, ms: number): void {
    this.timers.get(url)?.();
    this.timers.set(
      url,
      this.clock.after(ms, () => this.drop(url)),
    );
  }

  private drop(url: string): void {
    closeReceived(this.held.get(url)!);
    this.held.delete(url);
    this.timers.get(url)?.();
    this.timers.delete(url);
  }
}

/** Fails, for example, on a file of a removed device. */
function nameOf(fd: number): string | undefined {
  try {
    return inodeUrlOf(fd);
  } catch {
    return undefined;
  }
}

function gone(url: string): NsmError {
  return new NsmError(Code.Unavailable, `the connection ended before the descriptor ${url} arrived`);
}
