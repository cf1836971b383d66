/**
 * Logs the lifecycle of connections at info level, one line per event: established, healed (rebuilt, or on
 * another route) and closed, with the cause. Refreshes that change nothing are not logged. `requestLog()` logs
 * the failed Requests and Closes of callers, and a repeated failure only once.
 *
 * Both sides. connectionLog() after connection-state; requestLog() as the first element, so that it sees every
 * rejection. Reads `eventCause` and `logger`. Log lines never contain tokens.
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

/** The last logged state of a connection. */
interface Logged {
  connection: Connection;
  route: string;
}

/** Creates the element. See the module description. */
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
      // One value for the whole life of the connection, so that it is released on Close only.
      if (known) Object.assign(known, { connection, route });
      else logged.set(ctx, { connection, route });
      return connection;
    },
  };
}

/** Creates the element. See the module description. */
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
