import type { NetworkServiceElement, RegistryElement, RegistryEntry } from "../core/index.js";

/** The same message, which now throws when somebody writes to it. */
export function frozen<T>(message: T): T {
  if (typeof message === "object" && message !== null && !ArrayBuffer.isView(message)) {
    Object.values(message).forEach(frozen);
    Object.freeze(message);
  }
  return message;
}

/** Freezes what passes, in both directions: to stand on either side of an element that must not write to it. */
export const freezing: NetworkServiceElement = {
  name: "freezing",
  request: async (ctx, request, next) => frozen(await next.request(ctx, frozen(request))),
  close: (ctx, connection, next) => next.close(ctx, frozen(connection)),
};

/** {@link freezing} for registries. */
export function freezingRegistry<E extends RegistryEntry, Q, F>(): RegistryElement<E, Q, F> {
  return {
    name: "freezing",
    register: async (ctx, entry, next) => frozen(await next.register(ctx, frozen(entry))),
    find: (ctx, query, next) => next.find(ctx, frozen(query)),
    unregister: (ctx, entry, next) => next.unregister(ctx, frozen(entry)),
  } as RegistryElement<E, Q, F>;
}
