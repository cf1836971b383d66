import type { Context } from "./context.js";
import { explain } from "./errors.js";
import { connectionEnd } from "./events.js";
import { log } from "./logger.js";

/**
 * The cleanup that elements after begin register for the end of one connection or registration. begin runs it
 * when an element between begin and the slots has rejected an answer, or a Close or Unregister.
 */
export class Endings {
  private readonly pending: (() => Promise<unknown>)[] = [];

  /** @param what - the owner, for the log: `connection` */
  constructor(private readonly what: string) {}

  get isEmpty(): boolean {
    return this.pending.length === 0;
  }

  /** The Context in which elements register their cleanup, under `connectionEnd`. */
  within(ctx: Context): Context {
    return ctx.with(connectionEnd, (work) => this.pending.push(work));
  }

  /** Runs what is registered, once. Failures are logged with `fields`. */
  async run(ctx: Context, fields: object): Promise<void> {
    for (const work of this.pending.splice(0)) {
      await work().catch((error: unknown) => {
        const text = `could not release the resources of a ${this.what}`;
        log(ctx).warn({ ...fields, error: explain(error) }, text);
      });
    }
  }
}
