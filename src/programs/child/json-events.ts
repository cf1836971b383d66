import { Code, NsmError } from "../../core/index.js";

/** One JSON line printed by a program. `event` is its name; the other fields depend on the event. */
export type ProcessEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

/** The name of an event, or a predicate. */
export type EventMatch = string | ((event: ProcessEvent) => boolean);

/**
 * The events of one process in order of arrival, with a cursor. Each wait starts after the event that ended
 * the previous wait. A scenario therefore reads from top to bottom and misses no early event.
 */
export class JsonEvents {
  readonly #seen: ProcessEvent[] = [];
  readonly #changed = new Set<() => void>();
  #cursor = 0;
  #ended: string | undefined;

  /** @param who - the process, for errors; called for each error, so it can include stderr */
  constructor(private readonly who: () => string) {}

  /** All printed events, including those that a wait has passed. */
  get all(): readonly ProcessEvent[] {
    return this.#seen;
  }

  /** Moves the cursor behind the last event printed so far. */
  skip(): void {
    this.#cursor = this.#seen.length;
  }

  /**
   * Waits for the next matching event. Skips the events before it.
   *
   * @throws NsmError UNAVAILABLE if the process ends first, DEADLINE_EXCEEDED after `timeoutMs` (default:
   * 60,000), both with the events seen instead
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

  /** Adds an event. The reader of the process's stdout calls it. */
  push(event: ProcessEvent): void {
    this.#seen.push(event);
    this.#wake();
  }

  /** Ends all current and future waits. Called when the process has ended. */
  end(how: string): void {
    this.#ended = how;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#changed]) wake();
  }

  #after(start: number): string {
    const names = this.#seen.slice(start).map(({ event }) => event);
    return names.length === 0 ? ", nothing was printed" : `, printed: ${names.join(", ")}`;
  }
}
