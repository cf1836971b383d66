import { Code, codeOf, explain, type Clock, type Logger, type RegistryElement } from "../core/index.js";

/** Time without an answer until the wait is logged, in milliseconds. */
const SILENCE_MS = 900;

/** Options of {@link Waiting}. */
export interface WaitingOptions {
  /** The awaited service in log lines, such as `the manager at unix:///run/nsm.sock`. */
  readonly what: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Logs what a program is waiting for: within one second of the start, with the reason, and again when the
 * reason changes. Call `answered()` or `stop()` when the wait is over.
 *
 * @example
 * import { Waiting } from "./waiting.js";
 * import { registryClient } from "nsm-sdk/chains/registry-client";
 *
 * const waiting = new Waiting({ what: `the registry at ${url}`, clock, logger });
 * registryClient({ remotes, url, until, elements: { endpoints: [waiting.element()] } });
 */
export class Waiting {
  private logged: string | undefined;
  private readonly cancel: () => void;
  private over = false;

  constructor(private readonly options: WaitingOptions) {
    const { clock } = options;
    this.cancel = clock.after(SILENCE_MS, () => this.reason("no answer yet"));
  }

  /** Reports a failed try. */
  failed(error: unknown): void {
    // Canceled means that the program is stopping, so it is not a failure of the other side.
    if (codeOf(error) !== Code.Cancelled) this.reason(explain(error));
  }

  /** Ends the wait successfully. */
  answered(): void {
    const { logger, what } = this.options;
    if (!this.over && this.logged !== undefined) logger.info({}, `${what} answered`);
    this.stop();
  }

  /** Ends the wait. Repeated calls have no effect. */
  stop(): void {
    this.over = true;
    this.cancel();
  }

  /** Creates an element that reports each failed Register. Place it after retry(). */
  element<E, Q, F>(): RegistryElement<E, Q, F> {
    return {
      name: "waiting",
      register: async (ctx, entry, next) => {
        try {
          return await next.register(ctx, entry);
        } catch (error) {
          this.failed(error);
          throw error;
        }
      },
    };
  }

  private reason(reason: string): void {
    if (this.over || reason === this.logged) return;
    this.cancel();
    this.logged = reason;
    this.options.logger.info({ reason }, `waiting for ${this.options.what}`);
  }
}
