import type { Context } from "./context.js";
import { explain } from "./errors.js";
import { log } from "./logger.js";
import type { Slot } from "./slot.js";
import { unlessDone } from "./until.js";

// The values of one connection are of many types; each slot knows its own.
type AnySlot = Slot<unknown>;

/** A slot as it was before a call set it. */
interface Change {
  readonly slot: AnySlot;
  readonly had: boolean;
  readonly before: unknown;
}

/** A value that is no longer kept, and the slot that knows how to release it. */
interface Leaving {
  readonly slot: AnySlot;
  readonly value: unknown;
}

/** The slots of one connection. */
export class SlotValues {
  private readonly values = new Map<AnySlot, unknown>();
  /** Values of a replaced chain that no slot has taken over: released when the next Request succeeds. */
  private readonly retired: Leaving[] = [];
  /** What adopt and abandon have thrown: logged with the next call, which has a logger. */
  private readonly misfits: unknown[] = [];
  private readonly whenIdle: (() => void)[] = [];
  private calls = 0;
  private over = false;

  /** Starts a call: what it sets can be undone until it is finished. */
  begin(): SlotCall {
    this.calls++;
    return new SlotCall(this);
  }

  /** Ends what begin() has started. */
  end(): void {
    this.calls--;
    if (this.calls === 0) for (const work of this.whenIdle.splice(0)) work();
  }

  get(slot: AnySlot): unknown {
    return this.values.get(slot);
  }

  has(slot: AnySlot): boolean {
    return this.values.has(slot);
  }

  /** Returns false when the connection is gone and nothing can be kept for it. */
  put(slot: AnySlot, value: unknown): boolean {
    if (!this.over) this.values.set(slot, value);
    return !this.over;
  }

  delete(slot: AnySlot): void {
    this.values.delete(slot);
  }

  /**
   * Moves values from the slots of one chain to those of another, by name and position among slots of one name.
   * Waits until no call is under way, because calls finish on the chain they began on.
   */
  exchange(heirs: ReadonlyMap<AnySlot, AnySlot | undefined>): void {
    const move = (): void => {
      // What is being released stays with the slots that release it.
      if (this.over) return;
      for (const [slot, value] of [...this.values]) {
        if (!heirs.has(slot)) continue;
        this.values.delete(slot);
        const heir = heirs.get(slot);
        // A call that came to the new chain before this move has a value of its own already.
        const taken = heir && !this.values.has(heir) ? this.takeOver(slot, heir, value) : undefined;
        if (taken === undefined) this.retired.push({ slot, value });
        else this.values.set(heir!, taken);
      }
    };
    if (this.calls === 0) move();
    else this.whenIdle.push(move);
  }

  /** What the heir keeps of the value, or undefined when the earlier slot has to release it. */
  private takeOver(slot: AnySlot, heir: AnySlot, value: unknown): unknown {
    if (!heir.adopt) return slot.release || heir.release ? undefined : value;
    // One value that cannot be taken over keeps no other from it.
    const adopted = this.guarded(() => heir.adopt!(value));
    if (adopted !== undefined) this.guarded(() => slot.abandon?.(value));
    return adopted;
  }

  private guarded<R>(work: () => R): R | undefined {
    try {
      return work();
    } catch (error) {
      this.misfits.push(error);
      return undefined;
    }
  }

  /** Releases what a replaced chain has left behind. */
  releaseRetired(ctx: Context): Promise<unknown[]> {
    for (const error of this.misfits.splice(0))
      log(ctx).warn({ error: explain(error) }, "could not take over a value of replaced elements");
    return releaseEach(ctx, this.retired.splice(0).reverse());
  }

  /** Releases everything, the last value first. Nothing can be kept from here on. Returns the failures. */
  async releaseAll(ctx: Context): Promise<unknown[]> {
    this.over = true;
    const failures = await releaseEach(ctx, this.takeAll());
    return [...failures, ...(await this.releaseRetired(ctx))];
  }

  /** Takes out one value at a time: a release may need the values that were set before its own, or take them itself. */
  private *takeAll(): Generator<Leaving> {
    for (const [slot, value] of [...this.values].reverse()) {
      if (this.values.delete(slot)) yield { slot, value };
    }
  }
}

/** What one call does with the slots of its connection. */
export class SlotCall {
  private readonly changes: Change[] = [];
  private over = false;

  constructor(private readonly values: SlotValues) {}

  get(slot: AnySlot): unknown {
    return this.values.get(slot);
  }

  set(ctx: Context, slot: AnySlot, value: unknown): void {
    const had = this.values.has(slot);
    const before = this.values.get(slot);
    if (had && before === value) return;
    const kept = this.values.put(slot, value);
    if (kept && !this.over) {
      this.changes.push({ slot, had, before });
      return;
    }
    // The call is over, perhaps the connection too: nothing will come that could release the value later.
    const left = kept ? had && { slot, value: before } : { slot, value };
    if (left) void releaseEach(ctx, [left]).then((failures) => report(ctx, failures));
  }

  take(slot: AnySlot): unknown {
    const value = this.values.get(slot);
    this.values.delete(slot);
    // The caller owns it: a change that this call made before neither brings it back nor releases it.
    for (const [i, change] of this.changes.entries()) {
      if (change.slot === slot && change.before === value)
        this.changes[i] = { slot, had: false, before: undefined };
    }
    return value;
  }

  /** The place up to which undo() goes back. */
  mark(): number {
    return this.changes.length;
  }

  /** Releases what was set since the mark, the last value first, and puts the earlier values back. */
  async undo(ctx: Context, mark = 0): Promise<void> {
    while (this.changes.length > mark) {
      const { slot, had, before } = this.changes.pop()!;
      const value = this.values.get(slot);
      const set = this.values.has(slot) && value !== before;
      if (had) this.values.put(slot, before);
      else this.values.delete(slot);
      // A value that was set again after others was there before, and an earlier change has it.
      const back = this.changes.some(
        (change) => change.slot === slot && change.had && change.before === value,
      );
      if (set && !back) report(ctx, await releaseEach(ctx, [{ slot, value }]));
    }
  }

  /** undo() of everything. Ends the call: what comes from it later is no part of it. */
  async rollBack(ctx: Context): Promise<void> {
    do await this.undo(ctx);
    while (this.changes.length > 0);
    this.over = true;
  }

  /** Makes final what was set, and releases what it replaced. Ends the call. */
  async commit(ctx: Context): Promise<void> {
    await this.releaseReplaced(ctx);
    report(ctx, await this.values.releaseRetired(ctx));
  }

  /** Releases each value that was replaced and has not come back, once. Ends the call. */
  async releaseReplaced(ctx: Context): Promise<void> {
    while (this.changes.length > 0) {
      const { slot, had, before } = this.changes.pop()!;
      const again = this.changes.some(
        (change) => change.slot === slot && change.had && change.before === before,
      );
      if (!had || again || this.values.get(slot) === before) continue;
      report(ctx, await releaseEach(ctx, [{ slot, value: before }]));
    }
    this.over = true;
  }

  /** Calls of this connection that come now find what this one has left. */
  finish(): void {
    this.values.end();
  }
}

/**
 * Releases values one after the other, with time of their own. Returns what failed. One that does not end in its time
 * counts as failed: it must not keep the others.
 */
async function releaseEach(ctx: Context, leaving: Iterable<Leaving>): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const { slot, value } of leaving) {
    const { release } = slot;
    if (!release) continue;
    try {
      await ctx.detached(async (c) => {
        const released = release(value, c);
        // A signal costs more than most releases, which are over at once.
        if (released instanceof Promise) await unlessDone(c, released);
      });
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}

/** For releases beside a call whose result they do not change. */
function report(ctx: Context, failures: readonly unknown[]): void {
  for (const error of failures) log(ctx).warn({ error: explain(error) }, "could not release a value");
}

/**
 * Which slot of a new chain continues which slot of the chain it replaces: the one of the same name, the first
 * of that name for the first, and so on. A slot that is in both chains is left out: it keeps its values.
 */
export function heirsOf(
  before: readonly AnySlot[],
  after: readonly AnySlot[],
): ReadonlyMap<AnySlot, AnySlot | undefined> {
  const free = after.filter((slot) => !before.includes(slot));
  const heirs = new Map<AnySlot, AnySlot | undefined>();
  for (const slot of before) {
    if (after.includes(slot)) continue;
    const at = free.findIndex(({ name }) => name === slot.name);
    heirs.set(slot, at < 0 ? undefined : free.splice(at, 1)[0]);
  }
  return heirs;
}
