import { backoff, explain, type CancelTimer, type Clock, type Logger } from "../../../core/index.js";
import type { PacketFilter } from "./packet-filter.js";

export interface LinkWatchOptions {
  readonly filter: PacketFilter;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stops filtering interfaces that are gone. True when it has to look again. */
  readonly look: () => Promise<boolean>;
  /** Whether a connection has the interface. */
  readonly isOpen: (name: string) => boolean;
  /** Writes the table again when it is gone. */
  readonly repair: () => Promise<void>;
}

/** How often to look whether interfaces have come or gone. */
const LOOK_AGAIN = { initialMs: 50, maxMs: 5_000 };

/** Looks again and again while there is something to wait for: interfaces that are to come, or to go. */
export class LinkWatch {
  private readonly toHarden = new Set<string>();
  private isGuarding = false;
  private wait = backoff(LOOK_AGAIN);
  private cancel: CancelTimer | undefined;
  private closed = false;

  constructor(private readonly options: LinkWatchOptions) {}

  /** Has the interface ignore routers and redirects as soon as it stands. */
  harden(name: string): void {
    this.toHarden.add(name);
    this.wait = backoff(LOOK_AGAIN);
    this.lookLater();
  }

  /** Looks now and then whether the table is still there, which this kernel does not protect. */
  guard(on: boolean): void {
    this.isGuarding = on;
    if (on && !this.cancel) this.lookLater();
  }

  /** Never fails: it tries again. */
  async lookNow(): Promise<void> {
    this.cancel?.();
    this.cancel = undefined;
    const { look, repair } = this.options;
    const again = [
      await this.attempt("interfaces that are gone are still in the packet filter", look),
      await this.attempt("an interface has its default settings", () => this.hardenThose()),
      this.isGuarding &&
        (await this.attempt("the firewall's table is missing", async () => (await repair(), true))),
    ];
    if (again.includes(true)) this.lookLater();
    else this.wait = backoff(LOOK_AGAIN);
  }

  lookLater(): void {
    this.cancel?.();
    this.cancel = this.closed ? undefined : this.options.clock.after(this.wait(), () => void this.lookNow());
  }

  close(): void {
    this.closed = true;
    this.cancel?.();
  }

  private async attempt(failure: string, work: () => Promise<boolean>): Promise<boolean> {
    if (this.closed) return false;
    try {
      return await work();
    } catch (error) {
      if (!this.closed) this.options.logger.warn({ error: explain(error) }, failure);
      return true;
    }
  }

  private async hardenThose(): Promise<boolean> {
    const { filter, isOpen, logger } = this.options;
    for (const name of this.toHarden) {
      if (!isOpen(name)) this.toHarden.delete(name);
      else if (await filter.link(name)) {
        this.toHarden.delete(name);
        try {
          filter.ignoreRouters(name);
        } catch (error) {
          // The table drops what the kernel would act upon. The settings are for a time without the table.
          logger.warn({ wire: name, error: explain(error) }, "an interface keeps its default settings");
        }
      }
    }
    return this.toHarden.size > 0;
  }
}
