import type { Context } from "./context.js";
import { connectionEnd } from "./events.js";
import { throwFailures } from "./failures.js";
import { heirsOf, SlotValues } from "./slot-values.js";
import { slotCall, type Slot } from "./slot.js";

/** An element that keeps slots and can move their values to the slots of another chain. */
export interface StateKeeper {
  /**
   * Hands over the values of removed slots to the new slots of the same name. Values without such a slot are
   * released when the next Request of their connection succeeds.
   */
  exchange(before: readonly Slot<unknown>[], after: readonly Slot<unknown>[]): void;
}

/**
 * The slots of all connections (or registrations). An entry exists from the first call of a connection to its
 * last. A client chain inside a server chain shares the server's entry.
 */
export class StateStore implements StateKeeper {
  private readonly entries = new Map<string, SlotValues>();

  get size(): number {
    return this.entries.size;
  }

  exchange(before: readonly Slot<unknown>[], after: readonly Slot<unknown>[]): void {
    const heirs = heirsOf(before, after);
    for (const values of this.entries.values()) values.exchange(heirs);
  }

  async keep<R>(ctx: Context, id: string, work: (ctx: Context) => Promise<R>): Promise<R> {
    if (ctx.get(slotCall)) return work(ctx);
    const known = this.entries.get(id);
    const values = known ?? new SlotValues();
    this.entries.set(id, values);
    const call = values.begin();
    const inner = ctx.with(slotCall, call);
    try {
      const answer = await work(inner);
      await call.commit(inner);
      if (!known) ctx.get(connectionEnd)?.(() => this.release(inner, id, values));
      return answer;
    } catch (error) {
      await call.rollBack(inner);
      if (!known) await this.release(inner, id, values);
      throw error;
    } finally {
      call.finish();
    }
  }

  async drop(ctx: Context, id: string, work: (ctx: Context) => Promise<void>): Promise<void> {
    if (ctx.get(slotCall)) return work(ctx);
    const values = this.entries.get(id) ?? new SlotValues();
    const call = values.begin();
    const inner = ctx.with(slotCall, call);
    const failures: unknown[] = [];
    await work(inner).catch((error: unknown) => failures.push(error));
    await call.releaseReplaced(inner);
    failures.push(...(await this.release(inner, id, values)));
    call.finish();
    throwFailures(failures, `${id} is closed, but some of its resources were not released`);
  }

  private async release(ctx: Context, id: string, values: SlotValues): Promise<unknown[]> {
    const failures = await values.releaseAll(ctx);
    this.forget(id, values);
    return failures;
  }

  private forget(id: string, values: SlotValues): void {
    if (this.entries.get(id) === values) this.entries.delete(id);
  }
}
