import type { Context } from "./context.js";
import { explain } from "./errors.js";
import { log } from "./logger.js";
import { Slot } from "./slot.js";
import { atEnd } from "./until.js";

interface Armed {
  cancel(): void;
}

/** What the slot keeps: set once, so that a refresh that fails leaves the timer as the last call armed it. */
interface Holder {
  timer: Armed | undefined;
}

/**
 * One timer per connection (or registration), for elements that act on their own later. Make it inside the
 * element's factory.
 *
 * @example
 * const timer = new TimerSlot("timeout", until);
 * timer.arm(ctx, 60_000, (signal) => events.close({ signal }));
 */
export class TimerSlot {
  /** Cancels the timer when the connection ends: for the element's `provides`. */
  readonly slot: Slot<Holder>;
  private readonly armed = new Set<Armed>();

  /** @param until ends all timers: the program's life */
  constructor(
    readonly name: string,
    private readonly until?: AbortSignal,
  ) {
    this.slot = new Slot(name, { release: disarm });
    if (until) atEnd(until, () => this.armed.forEach((timer) => timer.cancel()));
  }

  /** How many timers run, or what they started does. */
  get size(): number {
    return this.armed.size;
  }

  /**
   * Does `work` in `ms` milliseconds, in place of what the connection's timer was to do. The signal aborts when
   * the timer is cancelled or armed anew while the work is under way. What the work fails with is logged.
   */
  arm(ctx: Context, ms: number, work: (signal: AbortSignal) => Promise<unknown>): void {
    this.cancel(ctx);
    if (this.until?.aborted) return;
    const controller = new AbortController();
    const cancelTimer = ctx.clock.after(ms, () => {
      void work(controller.signal)
        .catch((error: unknown) => {
          // Not a failure: the work noticed that it is not wanted any more.
          if (error === controller.signal.reason) return;
          log(ctx).warn({ error: explain(error) }, `${this.name} failed`);
        })
        .finally(() => this.armed.delete(timer));
    });
    const timer: Armed = {
      cancel: () => {
        cancelTimer();
        controller.abort();
        this.armed.delete(timer);
      },
    };
    this.armed.add(timer);
    const holder = this.slot.get(ctx) ?? { timer: undefined };
    holder.timer = timer;
    this.slot.set(ctx, holder);
  }

  cancel(ctx: Context): void {
    const holder = this.slot.get(ctx);
    if (holder) disarm(holder);
  }
}

function disarm(holder: Holder): void {
  holder.timer?.cancel();
  holder.timer = undefined;
}
