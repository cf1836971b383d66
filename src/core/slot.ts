import { ContextKey, type Context } from "./context.js";
import { Code, NsmError } from "./errors.js";
import type { SlotCall, SlotOptions } from "./slot-values.js";

/** The current call of the connection that a Context belongs to. Set by connectionState(). */
export const slotCall = new ContextKey<SlotCall>("connection-state");

/**
 * One value per connection (or registration), kept between its calls. Create a slot inside the element's
 * factory, so that two instances do not share it. Export it only to hand a value over to another element.
 *
 * A slot owns its value. With `release`, the element needs neither a `catch` block nor a `close` method for the
 * value. A value takes effect as soon as a Request sets it, and becomes final when the whole Request succeeds.
 * If the Request fails anywhere in the chain, the new value is released and the earlier value is restored.
 *
 * @example
 * import { Slot } from "nsm-sdk";
 * import { AddressPool, type IpAddress, parsePrefix } from "nsm-sdk/net";
 *
 * const pool = new AddressPool([parsePrefix("10.0.0.0/24")]);
 * const address = new Slot<IpAddress>("address", { release: (taken) => void pool.giveBack(taken) });
 * if (!address.get(ctx)) address.set(ctx, pool.pull()!);
 * const connection = await next.request(ctx, request);
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

  /** The value set by this call or an earlier call of the connection. */
  get(ctx: Context): T | undefined {
    return this.call(ctx).get(this as Slot<unknown>) as T | undefined;
  }

  /** Keeps the value for later calls of this connection. The earlier value is released when the call succeeds. */
  set(ctx: Context, value: T): void {
    this.call(ctx).set(ctx, this as Slot<unknown>, value);
  }

  /** Removes the value and returns it. The caller now owns the value; the slot does not release it. */
  take(ctx: Context): T | undefined {
    return this.call(ctx).take(this as Slot<unknown>) as T | undefined;
  }

  private call(ctx: Context): SlotCall {
    const found = ctx.get(slotCall);
    if (!found) {
      throw new NsmError(
        Code.FailedPrecondition,
        `slot "${this.name}" has no state: put connectionState() or registrationState() before it in the chain`,
      );
    }
    return found;
  }
}

/**
 * Runs one of several tries of a Request. If it fails, the values that it set are released before the error is
 * thrown. The next try then starts with the same state as the first. Tries must not overlap.
 *
 * @example
 * import { attempt, remoteUrl } from "nsm-sdk/core";
 *
 * const tryAt = (url: string) => attempt(ctx, () => next.request(ctx.with(remoteUrl, url), request));
 * const connection = await tryAt("tcp://10.0.0.1:5001").catch(() => tryAt("tcp://10.0.0.2:5001"));
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
