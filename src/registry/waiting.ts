import { Code, codeOf, explain, type Clock, type Logger, type RegistryElement } from "../core/index.js";

/** After how long without any answer the wait is logged. */
const SILENCE_MS = 900;

/** What is waited for, and where that is logged. */
export interface WaitingOptions {
  /** Such as `the manager at unix:///run/nsm.sock`. */
  readonly what: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Logs what a program waits for: within one second of its start, with the reason, and again when the reason
 * changes. Call `answered()` or `stop()` when the wait is over.
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

  /** A try failed. */
  failed(error: unknown): void {
    // Canceled: the program is stopping, which is no reason of the other side.
    if (codeOf(error) !== Code.Cancelled) this.reason(explain(error));
  }

  /** The wait is over, with success. */
  answered(): void {
    const { logger, what } = this.options;
    if (!this.over && this.logged !== undefined) logger.info({}, `${what} answered`);
    this.stop();
  }

  /** The wait is over. Repeated calls have no effect. */
  stop(): void {
    this.over = true;
    this.cancel();
  }

  /** An element that reports each failed Register. Behind retry(). */
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
