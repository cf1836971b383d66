import type { Clock } from "../../core/index.js";

/** How often a whole process may try to heal. */
export interface HealBudgetOptions {
  /** Tries that may come at once. */
  readonly burst?: number;
  readonly perSecond?: number;
}

/**
 * Shared by all heal() elements of a process: a dead endpoint with a thousand clients must not become a storm.
 * A bucket of `burst` tries, refilled at `perSecond`.
 */
export class HealBudget {
  private readonly burst: number;
  private readonly perSecond: number;
  private left: number;
  private at: number | undefined;

  constructor({ burst = 100, perSecond = 200 }: HealBudgetOptions = {}) {
    this.burst = burst;
    this.perSecond = perSecond;
    this.left = burst;
  }

  /** Takes one try; returns how many milliseconds to wait before making it. */
  take(clock: Clock): number {
    const now = clock.now();
    const refill = ((now - (this.at ?? now)) / 1000) * this.perSecond;
    this.left = Math.min(this.burst, this.left + refill) - 1;
    this.at = now;
    return this.left >= 0 ? 0 : (-this.left / this.perSecond) * 1000;
  }
}
