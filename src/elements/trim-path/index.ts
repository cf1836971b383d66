/**
 * Cuts from the path of an answer what stands behind the last hop: the segments of hops that a connection does
 * not lead through any more. A server that passes the connection on keeps what the next hops answered; one that
 * ends it cuts.
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

/** Whether the answer under way came from a next hop: said by the client side, heard by the server side. */
const passedOn = new Slot<true>("trim-path");

/** Cuts the path of an answer that came from no next hop. */
export function trimPathServer(): NetworkServiceElement {
  return {
    name: "trim-path/server",
    inside: ["connection-state"],
    outside: ["connect/server"],
    async request(ctx, request, next) {
      // Of an earlier Request that failed after its next hop had answered.
      passedOn.take(ctx);
      const response = await next.request(ctx, request);
      return passedOn.take(ctx) ? response : trimmed(response);
    },
  };
}

/** Lets the path of what the next hop answers stand. */
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
