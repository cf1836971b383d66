import { backoff } from "../../core/index.js";

/** The recovery state of one connection. */
interface Case {
  /** Ends the running recovery. */
  stop: AbortController | undefined;
  nextWait: () => number;
  /** When the connection was last established or refreshed successfully. */
  stoodAt: number;
}

/** Delays between tries. The first ones are short, because another endpoint may be available. */
const BACKOFF = { initialMs: 20, maxMs: 2_000 };
/** If a connection is lost again within this time, the delays continue to grow. */
const STEADY_MS = 10_000;

/** The delays of one recovery, and its controller. */
export interface Begun {
  readonly stop: AbortController;
  /** 0, unless the connection was lost again soon after it was rebuilt. */
  readonly firstWaitMs: number;
  readonly nextWait: () => number;
}

/**
 * The recoveries of one heal(), by connection. They outlive the slots, because a reselect closes the connection
 * and releases its slots.
 */
export class Recoveries {
  private readonly cases = new Map<string, Case>();

  constructor(private readonly random: () => number) {}

  get running(): number {
    return [...this.cases.values()].filter(({ stop }) => stop).length;
  }

  get size(): number {
    return this.cases.size;
  }

  /** Starts a recovery. The delays continue to grow if the connection was lost again soon after it was rebuilt. */
  begin(id: string, now: number): Begun {
    const known = this.cases.get(id);
    known?.stop?.abort();
    const again = known && now - known.stoodAt < STEADY_MS;
    const nextWait = again ? known.nextWait : backoff({ ...BACKOFF, random: this.random });
    const stop = new AbortController();
    this.cases.set(id, { stop, nextWait, stoodAt: now });
    return { stop, nextWait, firstWaitMs: again ? nextWait() : 0 };
  }

  /** A Request of any origin succeeded: the connection is established. */
  stands(id: string, now: number): void {
    const known = this.cases.get(id);
    if (!known) return;
    known.stop?.abort();
    known.stop = undefined;
    known.stoodAt = now;
  }

  /** Marks the recovery that `stop` belongs to as ended. */
  ended(id: string, stop: AbortController): void {
    const known = this.cases.get(id);
    if (known?.stop === stop) known.stop = undefined;
  }

  /** Forgets a connection that is permanently closed. */
  forget(id: string): void {
    this.cases.get(id)?.stop?.abort();
    this.cases.delete(id);
  }

  clear(): void {
    for (const id of [...this.cases.keys()]) this.forget(id);
  }
}
