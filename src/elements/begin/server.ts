import { connectionOf, State, type Connection, type NetworkServiceRequest } from "../../api/index.js";
import {
  connectionEvents,
  type ConnectionEvents,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";
import { closeEvent, closeFromOutside } from "./close.js";
import { closeQuietly, Entries, type Entry } from "./entries.js";
import { assertSameOrigin } from "./origin.js";

/** begin() for a chain that is called from outside the process. */
export function beginServer(): NetworkServiceElement {
  const entries = new Entries();

  const eventsOf = (entry: Entry, next: NetworkService): ConnectionEvents => {
    const events: ConnectionEvents = {
      closed: entry.closed,
      request: (options = {}) =>
        entry.runEvent(options, async (ctx, { ctx: values, request }) => {
          const response = await next.request(ctx.with(connectionEvents, events), request);
          entry.established = { ctx: values, request: answered(request, response) };
        }),
      close: (options = {}) => closeEvent(entries, entry, options, next),
    };
    return events;
  };

  return {
    name: "begin/server",
    needs: ["update-path"],
    debugState: () => ({ connections: entries.size }),

    async request(ctx, request, next) {
      if (ctx.get(connectionEvents)) return next.request(ctx, request);
      const connection = connectionOf(request);
      return entries.run(connection.id, async (entry) => {
        ctx.throwIfDone();
        if (entry.established) assertSameOrigin(ctx, connection, connectionOf(entry.established.request));
        const inner = ctx.with(connectionEvents, eventsOf(entry, next));
        if (entry.established && connection.state === State.RESELECT_REQUESTED) {
          const { established } = entry;
          entry.established = undefined;
          await inner.detached((c) => closeQuietly(c, next, established));
        }
        const response = up(await next.request(inner, request));
        entry.established = { ctx, request: answered(request, response) };
        return response;
      });
    },

    async close(ctx, connection, next) {
      if (ctx.get(connectionEvents)) return next.close(ctx, connection);
      return closeFromOutside(entries, ctx, connection, next, assertSameOrigin);
    },
  };
}

/** A connection that was just made is up, whatever state it was asked for with. */
export function up(connection: Connection): Connection {
  return { ...connection, state: State.UP };
}

/** The request as it is to be repeated: about the connection that it brought about. */
export function answered(request: NetworkServiceRequest, response: Connection): NetworkServiceRequest {
  return { ...request, connection: response };
}
