import { Code, NsmError } from "../../core/index.js";

/** One line of JSON that a program printed: `event` names it, the rest is its own. */
export type ProcessEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

/** An event's name, or a test that an event passes. */
export type EventMatch = string | ((event: ProcessEvent) => boolean);

/**
 * The events of one process in order of arrival, with a cursor: a wait starts behind the event that ended the
 * last one, so a scenario is read from top to bottom and nothing that came early is missed.
 */
export class JsonEvents {
  readonly #seen: ProcessEvent[] = [];
  readonly #changed = new Set<() => void>();
  #cursor = 0;
  #ended: string | undefined;

  /** @param who - the process, for errors; asked when one is made, so it may carry its stderr */
  constructor(private readonly who: () => string) {}

  /** Everything that was printed, also what a wait has passed. */
  get all(): readonly ProcessEvent[] {
    return this.#seen;
  }

  /** Moves the cursor behind the last event: what was printed so far is of no interest. */
  skip(): void {
    this.#cursor = this.#seen.length;
  }

  /**
   * The next event that matches; those before it are passed over.
   *
   * @throws NsmError UNAVAILABLE when the process ends first, DEADLINE_EXCEEDED after `timeoutMs` (default
   * 60,000), both with what was seen instead
   */
  async next(match: EventMatch, { timeoutMs = 60_000 }: { timeoutMs?: number } = {}): Promise<ProcessEvent> {
    const matches = typeof match === "string" ? (event: ProcessEvent) => event.event === match : match;
    const wanted = typeof match === "string" ? `event ${JSON.stringify(match)}` : "the event waited for";
    const start = this.#cursor;
    let timedOut = false;
    let timer: NodeJS.Timeout | undefined;
    try {
      for (let at = start; ;) {
        for (; at < this.#seen.length; at++) {
          const event = this.#seen[at]!;
          if (!matches(event)) continue;
          this.#cursor = at + 1;
          return event;
        }
        if (this.#ended !== undefined)
          throw new NsmError(
            Code.Unavailable,
            `${this.who()} ${this.#ended} before ${wanted}${this.#after(start)}`,
          );
        if (timedOut)
          throw new NsmError(
            Code.DeadlineExceeded,
            `${this.who()} did not print ${wanted} within ${timeoutMs} ms${this.#after(start)}`,
          );
        await new Promise<void>((wake) => {
          const woken = () => {
            this.#changed.delete(woken);
            wake();
          };
          this.#changed.add(woken);
          timer ??= setTimeout(() => {
            timedOut = true;
            this.#wake();
          }, timeoutMs);
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Adds an event; called by the reader of the process's stdout. */
  push(event: ProcessEvent): void {
    this.#seen.push(event);
    this.#wake();
  }

  /** Ends every wait, now and later; called when the process is gone. */
  end(how: string): void {
    this.#ended = how;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#changed]) wake();
  }

  #after(start: number): string {
    const names = this.#seen.slice(start).map(({ event }) => event);
    return names.length === 0 ? ", nothing was printed" : `, printed were ${names.join(", ")}`;
  }
}
