import type { Context } from "./context.js";
import { explain } from "./errors.js";
import { log } from "./logger.js";
import { Slot } from "./slot.js";
import { atEnd } from "./until.js";

interface Armed {
  cancel(): void;
}

/** The value in the slot. It is set once, so a failed refresh keeps the timer as last armed. */
interface Holder {
  timer: Armed | undefined;
}

/**
 * One timer per connection (or registration), for elements that act later on their own. Create it inside the
 * element's factory.
 *
 * @example
 * import { TimerSlot } from "nsm-sdk/core";
 *
 * const timer = new TimerSlot("timeout", until);
 * timer.arm(ctx, 60_000, (signal) => events.close({ signal }));
 */
export class TimerSlot {
  /** Cancels the timer when the connection ends. List it in the element's `provides`. */
  readonly slot: Slot<Holder>;
  private readonly armed = new Set<Armed>();

  /** @param until - cancels all timers when it aborts: the lifetime of the program */
  constructor(
    readonly name: string,
    private readonly until?: AbortSignal,
  ) {
    this.slot = new Slot(name, { release: disarm });
    if (until) atEnd(until, () => this.armed.forEach((timer) => timer.cancel()));
  }

  /** The number of timers that are armed or whose work is running. */
  get size(): number {
    return this.armed.size;
  }

  /**
   * Runs `work` after `ms` milliseconds and replaces the connection's earlier timer. The signal aborts if the
   * timer is canceled or armed again while `work` runs. A failure of `work` is logged.
   */
  arm(ctx: Context, ms: number, work: (signal: AbortSignal) => Promise<unknown>): void {
    this.cancel(ctx);
    if (this.until?.aborted) return;
    const controller = new AbortController();
    const cancelTimer = ctx.clock.after(ms, () => {
      void work(controller.signal)
        .catch((error: unknown) => {
          // Not a failure: the work stopped because its signal aborted.
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
