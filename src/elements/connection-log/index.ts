/**
 * Logs the life of connections at info level, one line each: established, healed (rebuilt, or over another way)
 * and closed, with the cause. Refreshes that change nothing are not logged. `requestLog()` logs the Requests and
 * Closes of callers that failed; a failure that repeats is logged once.
 *
 * Both sides. connectionLog() after connection-state; requestLog() first of all, so that it sees every refusal.
 * Reads `eventCause` and `logger`. No line has a token.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { connectionLog, requestLog } from "nsm-sdk/elements/connection-log";
 *
 * chain([requestLog(), updatePath({ name }), beginServer(), connectionState(), connectionLog(), ...elements]);
 *
 * @packageDocumentation
 */
import type { Connection } from "../../api/index.js";
import { eventCause, log, Slot, type NetworkServiceElement } from "../../core/index.js";
import { FailureLog } from "../../core/failure-log.js";
import { connectionFields, hops, routeOf } from "./fields.js";

export { connectionFields, type ConnectionFields } from "./fields.js";

/** A connection as it was logged. */
interface Logged {
  connection: Connection;
  route: string;
}

/** See the module's description. */
export function connectionLog(): NetworkServiceElement {
  const logged = new Slot<Logged>("connection-log", {
    release: ({ connection }, ctx) =>
      log(ctx).info({ ...connectionFields(connection), cause: ctx.get(eventCause) }, "connection closed"),
  });

  return {
    name: "connection-log",
    inside: ["connection-state"],
    provides: [logged],

    async request(ctx, request, next) {
      const connection = await next.request(ctx, request);
      const cause = ctx.get(eventCause);
      const route = routeOf(connection);
      const known = logged.get(ctx);
      if (!known || known.route !== route || cause === "heal") {
        const isNew = !known && cause !== "heal";
        const fields = { ...connectionFields(connection), path: hops(connection), cause };
        log(ctx).info(fields, isNew ? "connection established" : "connection healed");
      }
      // One value for the whole life: it is released when the connection is closed.
      if (known) Object.assign(known, { connection, route });
      else logged.set(ctx, { connection, route });
      return connection;
    },
  };
}

/** See the module's description. */
export function requestLog(): NetworkServiceElement {
  const requests = new FailureLog("request");
  const closes = new FailureLog("close");

  return {
    name: "connection-log/requests",

    async request(ctx, request, next) {
      const fields = request.connection ? connectionFields(request.connection) : { connection: "" };
      try {
        const response = await next.request(ctx, request);
        requests.succeeded(fields.connection);
        return response;
      } catch (error) {
        requests.failed(ctx, fields.connection, error, fields);
        throw error;
      }
    },

    async close(ctx, connection, next) {
      const fields = connectionFields(connection);
      try {
        await next.close(ctx, connection);
        closes.succeeded(fields.connection);
        requests.succeeded(fields.connection);
      } catch (error) {
        closes.failed(ctx, fields.connection, error, fields);
        throw error;
      }
    },
  };
}
