import { ContextKey, type Context } from "./context.js";
import { Code, NsmError } from "./errors.js";
import { connectionOf } from "../api/index.js";
import type { NetworkServiceElement, RegistryElement, RegistryEntry } from "./services.js";

type Values = Map<object, unknown>;

const values = new ContextKey<Values>("state");

/**
 * One value per connection (or registration), kept between its calls. Make it inside the element's factory, so
 * that two instances do not share it; export it only to hand a value over to another element.
 *
 * @example
 * const timer = new Slot<CancelTimer>("refresh");
 * timer.take(ctx)?.();
 * timer.set(ctx, ctx.clock.after(1_000, refresh));
 */
export class Slot<T> {
  constructor(readonly name: string) {}

  /** The value that an earlier call of this connection has set. */
  get(ctx: Context): T | undefined {
    return this.values(ctx).get(this) as T | undefined;
  }

  /** Keeps the value for the later calls of this connection. */
  set(ctx: Context, value: T): void {
    this.values(ctx).set(this, value);
  }

  /** The value, removed. */
  take(ctx: Context): T | undefined {
    const all = this.values(ctx);
    const value = all.get(this) as T | undefined;
    all.delete(this);
    return value;
  }

  private values(ctx: Context): Values {
    const found = ctx.get(values);
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
 * The one map of what elements remember. An entry lives from its first call to its last; a first call that
 * fails leaves nothing. A client chain inside a server chain shares the server's entry.
 */
class StateStore {
  private readonly entries = new Map<string, Values>();

  get size(): number {
    return this.entries.size;
  }

  async keep<R>(ctx: Context, id: string, work: (ctx: Context) => Promise<R>): Promise<R> {
    if (ctx.get(values)) return work(ctx);
    const known = this.entries.get(id);
    const own = known ?? new Map<object, unknown>();
    this.entries.set(id, own);
    try {
      return await work(ctx.with(values, own));
    } catch (error) {
      if (!known) this.entries.delete(id);
      throw error;
    }
  }

  drop<R>(ctx: Context, id: string, work: (ctx: Context) => Promise<R>): Promise<R> {
    if (ctx.get(values)) return work(ctx);
    const own = this.entries.get(id) ?? new Map<object, unknown>();
    this.entries.delete(id);
    return work(ctx.with(values, own));
  }
}

/** Gives each connection its slots. After update-path and begin, before every element that remembers something. */
export function connectionState(): NetworkServiceElement {
  const store = new StateStore();
  return {
    name: "connection-state",
    debugState: () => ({ connections: store.size }),
    request: (ctx, request, next) =>
      store.keep(ctx, connectionOf(request).id, (c) => next.request(c, request)),
    close: (ctx, connection, next) => store.drop(ctx, connection.id, (c) => next.close(c, connection)),
  };
}

/** Gives each registered name its slots. After begin, before every element that remembers something. */
export function registrationState<E extends RegistryEntry, Q, F>(): RegistryElement<E, Q, F> {
  const store = new StateStore();
  return {
    name: "registration-state",
    debugState: () => ({ registrations: store.size }),
    register: (ctx, entry, next) => store.keep(ctx, entry.name, (c) => next.register(c, entry)),
    unregister: (ctx, entry, next) => store.drop(ctx, entry.name, (c) => next.unregister(c, entry)),
  } as RegistryElement<E, Q, F>;
}
