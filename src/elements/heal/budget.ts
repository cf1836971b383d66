import type { Clock } from "../../core/index.js";

/** Limits of heal attempts of a whole process. */
export interface HealBudgetOptions {
  /** Maximum number of simultaneous attempts. Default: 100. */
  readonly burst?: number | undefined;
  readonly perSecond?: number | undefined;
}

/**
 * Limits the heal attempts of a process, so that the loss of an endpoint with a thousand clients does not flood
 * the mesh. A token bucket with `burst` attempts, refilled at `perSecond`. All heal() elements of a process
 * share it.
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

  /** Takes one attempt from the budget. Returns the delay before it may start, in milliseconds. */
  take(clock: Clock): number {
    const now = clock.now();
    const refill = ((now - (this.at ?? now)) / 1000) * this.perSecond;
    this.left = Math.min(this.burst, this.left + refill) - 1;
    this.at = now;
    return this.left >= 0 ? 0 : (-this.left / this.perSecond) * 1000;
  }
}
