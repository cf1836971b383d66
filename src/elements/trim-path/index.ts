/**
 * Removes obsolete segments from the end of an answer's path: hops that the connection no longer passes. A
 * server that forwards the connection keeps the path of the next hop's answer. A server that ends the
 * connection trims it.
 *
 * Both sides. `trimPathServer()` after connection-state, inside monitor; `trimPathClient()` near connect.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { connectClient, connectServer } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 * import { trimPathClient, trimPathServer } from "nsm-sdk/elements/trim-path";
 *
 * const client = chain([
 *   updatePath({ name }),
 *   beginClient(),
 *   connectionState(),
 *   dial({ remotes }),
 *   trimPathClient(),
 *   connectClient(),
 * ]);
 * chain([updatePath({ name }), beginServer(), connectionState(), trimPathServer(), connectServer(client)]);
 *
 * @packageDocumentation
 */
import { pathOf, type Connection } from "../../api/index.js";
import { Slot, type NetworkServiceElement } from "../../core/index.js";

/** Whether the current answer came from a next hop. Set by the client side, read by the server side. */
const passedOn = new Slot<true>("trim-path");

/** Trims the path of an answer that did not come from a next hop. */
export function trimPathServer(): NetworkServiceElement {
  return {
    name: "trim-path/server",
    inside: ["connection-state"],
    outside: ["connect/server"],
    async request(ctx, request, next) {
      // Left by an earlier Request that failed after its next hop had answered.
      passedOn.take(ctx);
      const response = await next.request(ctx, request);
      return passedOn.take(ctx) ? response : trimmed(response);
    },
  };
}

/** Keeps the path of the next hop's answer. */
export function trimPathClient(): NetworkServiceElement {
  return {
    name: "trim-path/client",
    inside: ["connection-state"],
    outside: ["connect/client"],
    async request(ctx, request, next) {
      const response = await next.request(ctx, request);
      passedOn.set(ctx, true);
      return response;
    },
  };
}

function trimmed(connection: Connection): Connection {
  const path = pathOf(connection);
  if (path.pathSegments.length <= path.index + 1) return connection;
  return { ...connection, path: { ...path, pathSegments: path.pathSegments.slice(0, path.index + 1) } };
}
