import { log, Slot, type Context } from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";

/**
 * The background work of an element between the calls of a registration: one task per registration. A task ends
 * when it is replaced or stopped, or when `until`, the lifetime of the program, aborts. Tasks must obey their
 * signal.
 */
export class Background {
  /** Stops the task when the registration ends. List it in the element's `provides`. */
  readonly slot: Slot<AbortController>;
  private readonly running = new Set<AbortController>();

  constructor(
    private readonly name: string,
    private readonly until?: AbortSignal | undefined,
  ) {
    this.slot = new Slot(name, { release: (controller) => this.end(controller) });
    if (until) atEnd(until, () => this.running.forEach((work) => work.abort(until.reason)));
  }

  /** The number of running tasks. */
  get size(): number {
    return this.running.size;
  }

  /** Starts the task of the registration and replaces the running one. */
  start(ctx: Context, work: (signal: AbortSignal) => Promise<void>): void {
    this.stop(ctx);
    if (this.until?.aborted) return;
    const controller = new AbortController();
    this.slot.set(ctx, controller);
    this.running.add(controller);
    void this.run(ctx, work, controller);
  }

  /** Stops the task of the registration, if any. */
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
