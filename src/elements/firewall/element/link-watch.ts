import { backoff, explain, type CancelTimer, type Clock, type Logger } from "../../../core/index.js";
import type { PacketFilter } from "./packet-filter.js";

export interface LinkWatchOptions {
  readonly filter: PacketFilter;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stops filtering interfaces that are gone. Returns whether to check again. */
  readonly look: () => Promise<boolean>;
  /** Whether a connection has the interface. */
  readonly isOpen: (name: string) => boolean;
  /** Writes the table again if it is gone. */
  readonly repair: () => Promise<void>;
}

/** Delays between checks for created and removed interfaces. */
const LOOK_AGAIN = { initialMs: 50, maxMs: 5_000 };

/** Repeats checks while interfaces are about to be created or removed, or while the table is unprotected. */
export class LinkWatch {
  private readonly toHarden = new Set<string>();
  private isGuarding = false;
  private wait = backoff(LOOK_AGAIN);
  private cancel: CancelTimer | undefined;
  private closed = false;

  constructor(private readonly options: LinkWatchOptions) {}

  /** Makes the interface ignore routers and redirects as soon as it exists. */
  harden(name: string): void {
    this.toHarden.add(name);
    this.wait = backoff(LOOK_AGAIN);
    this.lookLater();
  }

  /** Turns on periodic checks that the table exists, for kernels that cannot protect it. */
  guard(on: boolean): void {
    this.isGuarding = on;
    if (on && !this.cancel) this.lookLater();
  }

  /** Runs all checks. Never fails; failures are retried. */
  async lookNow(): Promise<void> {
    this.cancel?.();
    this.cancel = undefined;
    const { look, repair } = this.options;
    const again = [
      await this.attempt("could not remove deleted interfaces from the packet filter", look),
      await this.attempt("could not harden an interface", () => this.hardenThose()),
      this.isGuarding &&
        (await this.attempt("could not restore the firewall's table", async () => (await repair(), true))),
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
          // The table drops these packets anyway. The settings matter only while the table is missing.
          logger.warn(
            { wire: name, error: explain(error) },
            "could not harden an interface, it keeps its default settings",
          );
        }
      }
    }
    return this.toHarden.size > 0;
  }
}
