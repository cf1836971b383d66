/**
 * Provides the slots of each connection. It releases their values when the connection is closed or its first
 * Request fails, in reverse order, and collects failures into one error.
 *
 * Both sides. After update-path and begin, before every element that keeps state.
 *
 * @example
 * import { beginServer, chain, connectionState, pointToPointIpam, updatePath } from "nsm-sdk";
 *
 * chain([updatePath({ name }), beginServer(), connectionState(), pointToPointIpam({ prefixes })]);
 *
 * @packageDocumentation
 */
import { connectionOf } from "../../api/index.js";
import { type NetworkServiceElement, type StateKeeper } from "../../core/index.js";
import { StateStore } from "../../core/state-store.js";

/** Keeps the slots of connections by id. See the module description. */
export function connectionState(): NetworkServiceElement & StateKeeper {
  const store = new StateStore();
  return {
    name: "connection-state",
    debugState: () => ({ connections: store.size }),
    exchange: (before, after) => store.exchange(before, after),
    request: (ctx, request, next) =>
      store.keep(ctx, connectionOf(request).id, (c) => next.request(c, request)),
    close: (ctx, connection, next) => store.drop(ctx, connection.id, (c) => next.close(c, connection)),
  };
}
