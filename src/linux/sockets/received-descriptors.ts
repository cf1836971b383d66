import { readFileSync } from "node:fs";
import { Code, NsmError, systemClock, type CancelTimer, type Clock } from "../../core/index.js";
import { duplicate } from "./attachable-socket.js";
import { closeReceived } from "./close-received.js";
import { inodeUrlOf } from "./file-id.js";

/** What the connections of a process may hold together. */
export interface DescriptorBudget {
  /** Maximum number of descriptors. When it is exceeded, the connection that holds most loses its oldest. */
  readonly limit: number;
  /** Calls take no descriptors beyond this number: the others are for connections and files of the process itself. */
  readonly highest: number;
  readonly holders: Set<ReceivedDescriptors>;
}

let ofProcess: DescriptorBudget | undefined;

/** How long a descriptor waits. Its call arrives together with it, or within the call's own deadline. */
const KEPT_MS = 60_000;
/**
 * How long a descriptor stays after it was taken, for other calls that came with it. An open descriptor keeps a
 * network namespace alive, so it must not stay longer than needed.
 */
const KEPT_AFTER_TAKE_MS = 5_000;

const INODE_URL = /^inode:\/\/\d+\/\d+$/;

interface Held {
  readonly fd: number;
  taken: boolean;
}

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
  private readonly held = new Map<string, Held>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private readonly timers = new Map<string, CancelTimer>();
  private over = false;

  constructor(
    private readonly clock: Clock = systemClock,
    private readonly budget = (ofProcess ??= budgetOfProcess()),
  ) {}

  /** The number of descriptors that it holds. */
  get size(): number {
    return this.held.size;
  }

  /** Takes ownership of a descriptor. */
  arrived(fd: number): void {
    const url = nameOf(fd);
    if (url === undefined || this.over) return closeReceived(fd);
    const known = this.held.get(url);
    if (known) {
      // The newest again, because another call names it.
      this.held.delete(url);
      this.held.set(url, { fd: known.fd, taken: false });
      this.keepFor(url, KEPT_MS);
      return closeReceived(fd);
    }
    const waiting = [...(this.waiters.get(url) ?? [])];
    this.waiters.delete(url);
    this.held.set(url, { fd, taken: waiting.length > 0 });
    this.budget.holders.add(this);
    this.keepFor(url, waiting.length > 0 ? KEPT_AFTER_TAKE_MS : KEPT_MS);
    for (const { resolve, reject } of waiting) {
      try {
        resolve(this.copy(fd));
      } catch (error) {
        reject(error as Error);
      }
    }
    keepWithin(this.budget);
  }

  /** Closes the oldest descriptor, if possible one that was taken. */
  dropOldest(): void {
    for (const [url, { taken }] of this.held) if (taken) return this.drop(url);
    this.drop(this.held.keys().next().value!);
  }

  /**
   * Waits for a descriptor of this file. The caller closes it.
   *
   * @throws NsmError INVALID_ARGUMENT for an invalid inode URL, UNAVAILABLE if the connection ends first,
   * RESOURCE_EXHAUSTED if calls have taken too many; an abort throws the signal's reason
   */
  async take(url: string, signal: AbortSignal): Promise<number> {
    if (!INODE_URL.test(url)) {
      throw new NsmError(Code.InvalidArgument, `"${url}" is not a descriptor: expected inode://device/inode`);
    }
    if (signal.aborted) throw signal.reason as Error;
    const held = this.held.get(url);
    if (held !== undefined) {
      held.taken = true;
      this.keepFor(url, KEPT_AFTER_TAKE_MS);
      return this.copy(held.fd);
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

  private copy(fd: number): number {
    const { highest } = this.budget;
    let copy: number;
    try {
      copy = duplicate(fd);
    } catch (cause) {
      throw tooMany({ cause });
    }
    // The kernel gives the lowest free number.
    if (copy <= highest) return copy;
    closeReceived(copy);
    throw tooMany();
  }

  private keepFor(url: string, ms: number): void {
    this.timers.get(url)?.();
    this.timers.set(
      url,
      this.clock.after(ms, () => this.drop(url)),
    );
  }

  private drop(url: string): void {
    closeReceived(this.held.get(url)!.fd);
    this.held.delete(url);
    if (this.held.size === 0) this.budget.holders.delete(this);
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

function keepWithin({ limit, holders }: DescriptorBudget): void {
  let total = 0;
  let most: ReceivedDescriptors | undefined;
  for (const holder of holders) {
    total += holder.size;
    if (!most || holder.size > most.size) most = holder;
  }
  if (total > limit) most?.dropOldest();
}

/** A quarter of the descriptors that this process may open for those that wait, and half of them for calls. */
function budgetOfProcess(): DescriptorBudget {
  const all = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  const quarter = Math.floor(Number(all ?? 1_024) / 4);
  return { limit: quarter, highest: 3 * quarter, holders: new Set() };
}

function tooMany(options?: ErrorOptions): NsmError {
  const text = "this process has too many open descriptors to take those of another call";
  return new NsmError(Code.ResourceExhausted, text, options);
}
