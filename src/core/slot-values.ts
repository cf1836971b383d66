import type { Context } from "./context.js";
import { explain } from "./errors.js";
import { log } from "./logger.js";
import { unlessDone } from "./until.js";

/** Options of a slot. */
export interface SlotOptions<T> {
  /**
   * Releases the resource that a value represents. connection-state calls it when the connection is closed,
   * when its first Request fails, and when a Request has replaced the value. The Context has its own time limit
   * and is not canceled with the call.
   */
  readonly release?: ((value: T, ctx: Context) => void | Promise<void>) | undefined;
  /**
   * Adopts a value when this slot's chain replaces another chain with a slot of the same name. Returns the
   * value to keep. If it returns undefined or throws, the replaced chain releases the value. If neither slot
   * has `release`, the value is adopted unchanged.
   */
  readonly adopt?: ((value: T) => T | undefined) | undefined;
  /** Forgets a value that another slot has adopted, without releasing its resource. */
  readonly abandon?: ((value: T) => void) | undefined;
}

// The values of one connection have different types. Each slot knows the type of its value.
interface AnySlot extends SlotOptions<unknown> {
  readonly name: string;
}

/** The state of a slot before a call set it. */
interface Change {
  readonly slot: AnySlot;
  readonly had: boolean;
  readonly before: unknown;
}

/** A value to release, and its slot. */
interface Leaving {
  readonly slot: AnySlot;
  readonly value: unknown;
}

/** The slots of one connection. */
export class SlotValues {
  private readonly values = new Map<AnySlot, unknown>();
  /** Values of a replaced chain that no slot has adopted. Released when the next Request succeeds. */
  private readonly retired: Leaving[] = [];
  /** Errors thrown by adopt and abandon. The next call logs them, because it has a logger. */
  private readonly misfits: unknown[] = [];
  private readonly whenIdle: (() => void)[] = [];
  private calls = 0;
  private over = false;

  /** Starts a call. Its changes can be undone until it ends. */
  begin(): SlotCall {
    this.calls++;
    return new SlotCall(this);
  }

  /** Ends a call that begin() started. */
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

  /** Returns false if the connection has ended and the value cannot be kept. */
  put(slot: AnySlot, value: unknown): boolean {
    if (!this.over) this.values.set(slot, value);
    return !this.over;
  }

  delete(slot: AnySlot): void {
    this.values.delete(slot);
  }

  /**
   * Moves values from the slots of one chain to those of another, by name and by position among slots of the
   * same name. Waits until no call is in progress, because calls finish on the chain they began on.
   */
  exchange(heirs: ReadonlyMap<AnySlot, AnySlot | undefined>): void {
    const move = (): void => {
      // Values that are being released stay with their slots.
      if (this.over) return;
      for (const [slot, value] of [...this.values]) {
        if (!heirs.has(slot)) continue;
        this.values.delete(slot);
        const heir = heirs.get(slot);
        // A call on the new chain may have set the value before this move.
        const taken = heir && !this.values.has(heir) ? this.takeOver(slot, heir, value) : undefined;
        if (taken === undefined) this.retired.push({ slot, value });
        else this.values.set(heir!, taken);
      }
    };
    if (this.calls === 0) move();
    else this.whenIdle.push(move);
  }

  /** Returns the value that the heir keeps, or undefined if the earlier slot must release it. */
  private takeOver(slot: AnySlot, heir: AnySlot, value: unknown): unknown {
    if (!heir.adopt) return slot.release || heir.release ? undefined : value;
    // A value that cannot be adopted must not prevent the adoption of the others.
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

  /** Releases the values of a replaced chain that no slot has adopted. */
  releaseRetired(ctx: Context): Promise<unknown[]> {
    for (const error of this.misfits.splice(0))
      log(ctx).warn({ error: explain(error) }, "could not adopt a value of replaced elements");
    return releaseEach(ctx, this.retired.splice(0).reverse());
  }

  /** Releases all values, the last one first. Later values are not kept. Returns the failures. */
  async releaseAll(ctx: Context): Promise<unknown[]> {
    this.over = true;
    const failures = await releaseEach(ctx, this.takeAll());
    return [...failures, ...(await this.releaseRetired(ctx))];
  }

  /** Removes one value at a time, because a release may read or take the values that were set before its own. */
  private *takeAll(): Generator<Leaving> {
    for (const [slot, value] of [...this.values].reverse()) {
      if (this.values.delete(slot)) yield { slot, value };
    }
  }
}

/** The changes that one call makes to the slots of its connection. */
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
    // The call has ended, and the connection perhaps too. Nothing would release the value later, so it is
    // released now.
    const left = kept ? had && { slot, value: before } : { slot, value };
    if (left) void releaseEach(ctx, [left]).then((failures) => report(ctx, failures));
  }

  take(slot: AnySlot): unknown {
    const value = this.values.get(slot);
    this.values.delete(slot);
    // The caller owns the value, so earlier changes of this call must neither restore nor release it.
    for (const [i, change] of this.changes.entries()) {
      if (change.slot === slot && change.before === value)
        this.changes[i] = { slot, had: false, before: undefined };
    }
    return value;
  }

  /** The position that undo() returns to. */
  mark(): number {
    return this.changes.length;
  }

  /** Releases the values set since the mark, the last one first, and restores the earlier values. */
  async undo(ctx: Context, mark = 0): Promise<void> {
    while (this.changes.length > mark) {
      const { slot, had, before } = this.changes.pop()!;
      const value = this.values.get(slot);
      const set = this.values.has(slot) && value !== before;
      if (had) this.values.put(slot, before);
      else this.values.delete(slot);
      // If an earlier change holds the same value, that change restores or releases it.
      const back = this.changes.some(
        (change) => change.slot === slot && change.had && change.before === value,
      );
      if (set && !back) report(ctx, await releaseEach(ctx, [{ slot, value }]));
    }
  }

  /** Undoes all changes and ends the call. Values that it sets later are not part of it. */
  async rollBack(ctx: Context): Promise<void> {
    do await this.undo(ctx);
    while (this.changes.length > 0);
    this.over = true;
  }

  /** Makes the changes final and releases the replaced values. Ends the call. */
  async commit(ctx: Context): Promise<void> {
    await this.releaseReplaced(ctx);
    report(ctx, await this.values.releaseRetired(ctx));
  }

  /** Releases each replaced value that was not set again, once. Ends the call. */
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

  /** Ends the call. Pending exchanges of chains can then run. */
  finish(): void {
    this.values.end();
  }
}

/**
 * Releases values one after the other, each with its own time limit. Returns the failures. A release that
 * exceeds its time limit counts as failed, so that it does not block the others.
 */
async function releaseEach(ctx: Context, leaving: Iterable<Leaving>): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const { slot, value } of leaving) {
    const { release } = slot;
    if (!release) continue;
    try {
      await ctx.detached(async (c) => {
        const released = release(value, c);
        // Most releases are synchronous and cost less than a signal.
        if (released instanceof Promise) await unlessDone(c, released);
      });
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}

/** Logs failed releases that do not change the result of the call. */
function report(ctx: Context, failures: readonly unknown[]): void {
  for (const error of failures) log(ctx).warn({ error: explain(error) }, "could not release a value");
}

/**
 * Maps each slot of a replaced chain to the slot of the new chain that continues it: the first slot of a name
 * to the first of that name, and so on. A slot that is in both chains is omitted and keeps its values.
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
