import { log, Slot, type Context } from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";

/**
 * What an element does between the calls of a registration: one piece of work each, which ends when it is
 * replaced, stopped, or the program's life `until` is over. The work must obey its signal.
 */
export class Background {
  /** Stops the work when the registration ends: for the element's `provides`. */
  readonly slot: Slot<AbortController>;
  private readonly running = new Set<AbortController>();

  constructor(
    private readonly name: string,
    private readonly until?: AbortSignal | undefined,
  ) {
    this.slot = new Slot(name, { release: (controller) => this.end(controller) });
    if (until) atEnd(until, () => this.running.forEach((work) => work.abort(until.reason)));
  }

  /** How many pieces of work are going on. */
  get size(): number {
    return this.running.size;
  }

  /** Starts the registration's work, in place of what was going on. */
  start(ctx: Context, work: (signal: AbortSignal) => Promise<void>): void {
    this.stop(ctx);
    if (this.until?.aborted) return;
    const controller = new AbortController();
    this.slot.set(ctx, controller);
    this.running.add(controller);
    void this.run(ctx, work, controller);
  }

  /** Stops the registration's work, if there is any. */
  stop(ctx: Context): void {
    const controller = this.slot.take(ctx);
    if (controller) this.end(controller);
  }

  private end(controller: AbortController): void {
    controller.abort();
    this.running.delete(controller);
  }

  private async run(
    ctx: Context,
    work: (signal: AbortSignal) => Promise<void>,
    controller: AbortController,
  ): Promise<void> {
    try {
      await work(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted)
        log(ctx).warn({ err: error, element: this.name }, "background work failed");
    } finally {
      this.running.delete(controller);
    }
  }
}
