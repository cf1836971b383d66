import { backoff } from "../../core/index.js";

/** The recoveries of one connection. */
interface Case {
  /** Ends the one under way. */
  stop: AbortController | undefined;
  nextWait: () => number;
  /** When the connection was last made or refreshed with success. */
  stoodAt: number;
}

/** Pauses between tries. The first ones are short, because another endpoint may be ready. */
const BACKOFF = { initialMs: 20, maxMs: 2_000 };
/** A connection that is lost sooner than this after it was rebuilt is rebuilt with growing pauses. */
const STEADY_MS = 10_000;

/** How one recovery is to wait, and what ends it. */
export interface Begun {
  readonly stop: AbortController;
  /** 0 unless an earlier success did not last. */
  readonly firstWaitMs: number;
  readonly nextWait: () => number;
}

/**
 * The recoveries of one heal(), by connection. They outlive the slots: a reselect closes the connection, and with
 * it goes what is remembered there.
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

  /** Begins a recovery. The pauses continue to grow if the last success did not last. */
  begin(id: string, now: number): Begun {
    const known = this.cases.get(id);
    known?.stop?.abort();
    const again = known && now - known.stoodAt < STEADY_MS;
    const nextWait = again ? known.nextWait : backoff({ ...BACKOFF, random: this.random });
    const stop = new AbortController();
    this.cases.set(id, { stop, nextWait, stoodAt: now });
    return { stop, nextWait, firstWaitMs: again ? nextWait() : 0 };
  }

  /** A Request of any origin succeeded: the connection stands. */
  stands(id: string, now: number): void {
    const known = this.cases.get(id);
    if (!known) return;
    known.stop?.abort();
    known.stop = undefined;
    known.stoodAt = now;
  }

  /** The recovery that `stop` belongs to is over. */
  ended(id: string, stop: AbortController): void {
    const known = this.cases.get(id);
    if (known?.stop === stop) known.stop = undefined;
  }

  /** The connection is closed for good. */
  forget(id: string): void {
    this.cases.get(id)?.stop?.abort();
    this.cases.delete(id);
  }

  clear(): void {
    for (const id of [...this.cases.keys()]) this.forget(id);
  }
}
