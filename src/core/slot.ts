import { ContextKey, type Context } from "./context.js";
import { Code, NsmError } from "./errors.js";
import type { SlotCall } from "./slot-values.js";

/** How a slot treats its values. */
export interface SlotOptions<T> {
  /**
   * Frees what a value stands for. connection-state calls it when the connection is closed, when its first
   * Request fails, and when a Request has replaced the value by another one. The Context has time of its own:
   * it is not canceled with the call.
   */
  readonly release?: ((value: T, ctx: Context) => void | Promise<void>) | undefined;
  /**
   * Takes over a value of the slot with the same name in a chain that this slot's chain replaces. Returns the
   * value to keep, or undefined to let the earlier chain release it, as when it throws. Without `release` on either
   * side a value is taken over as it is.
   */
  readonly adopt?: ((value: T) => T | undefined) | undefined;
  /** Forgets a value that another slot has adopted, without touching what it stands for. */
  readonly abandon?: ((value: T) => void) | undefined;
}

/** The call under way of the connection that a Context belongs to. Set by connectionState(). */
export const slotCall = new ContextKey<SlotCall>("connection-state");

/**
 * One value per connection (or registration), kept between its calls. Create it inside the element's factory, so
 * that two instances do not share it; export it only to hand a value over to another element.
 *
 * A slot owns its value: with `release` the element needs neither a `catch` block nor a `close` method for it.
 * What a Request sets counts from the moment it is set, and becomes final when the whole Request succeeds. If the
 * Request fails, wherever in the chain, the new value is released and the earlier one is back.
 *
 * @example
 * const port = new Slot<Port>("port", { release: (taken) => ports.free(taken) });
 * if (!port.get(ctx)) port.set(ctx, ports.take());
 * return next.request(ctx, request);
 */
export class Slot<T> {
  readonly release: SlotOptions<T>["release"];
  readonly adopt: SlotOptions<T>["adopt"];
  readonly abandon: SlotOptions<T>["abandon"];

  constructor(
    readonly name: string,
    { release, adopt, abandon }: SlotOptions<T> = {},
  ) {
    this.release = release;
    this.adopt = adopt;
    this.abandon = abandon;
  }

  /** The value that this or an earlier call of the connection has set. */
  get(ctx: Context): T | undefined {
    return this.call(ctx).get(this as Slot<unknown>) as T | undefined;
  }

  /** Keeps the value for the later calls of this connection. An earlier value is released when the call succeeds. */
  set(ctx: Context, value: T): void {
    this.call(ctx).set(ctx, this as Slot<unknown>, value);
  }

  /** Removes the value and returns it. The caller owns it from here on: it is not released. */
  take(ctx: Context): T | undefined {
    return this.call(ctx).take(this as Slot<unknown>) as T | undefined;
  }

  private call(ctx: Context): SlotCall {
    const found = ctx.get(slotCall);
    if (!found) {
      throw new NsmError(
        Code.FailedPrecondition,
        `the slot "${this.name}" is used in a chain without connectionState() or registrationState() before it`,
      );
    }
    return found;
  }
}

/**
 * Runs one of several tries of a Request. If it fails, the values it set are released before the error is thrown,
 * so that the next try finds the connection as the first one did. Tries run one after the other.
 *
 * @example
 * for (const url of urls) {
 *   try {
 *     return await attempt(ctx, () => next.request(ctx.with(remoteUrl, url), request));
 *   } catch (error) {
 *     failures.push(error);
 *   }
 * }
 */
export async function attempt<R>(ctx: Context, work: () => Promise<R>): Promise<R> {
  const call = ctx.get(slotCall);
  if (!call) return work();
  const before = call.mark();
  try {
    return await work();
  } catch (error) {
    await call.undo(ctx, before);
    throw error;
  }
}
