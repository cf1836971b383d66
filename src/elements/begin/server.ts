import { connectionOf, State, type Connection, type NetworkServiceRequest } from "../../api/index.js";
import {
  connectionEvents,
  LiveConnections,
  type ConnectionEvents,
  type NetworkServiceElement,
  type RequestEventOptions,
} from "../../core/index.js";
import { closeBeforeReselect, closeEvent, closeFromOutside } from "./close.js";
import { Entries, type Entry } from "./entries.js";
import { assertSameOrigin } from "./origin.js";

/** Options of beginServer(). */
export interface BeginServerOptions {
  /** Collects the established connections. Default: a new collection. */
  readonly live?: LiveConnections | undefined;
}

/** begin() for a server chain, which other processes call. */
export function beginServer({
  live = new LiveConnections(),
}: BeginServerOptions = {}): NetworkServiceElement {
  const eventsOf = (entry: Entry): ConnectionEvents => ({
    closed: entry.closed,
    request: (options = {}) =>
      entry.runEvent(options, async (ctx, established) => {
        const request = patched(established.request, options);
        const response = await entry.next.request(ctx, request);
        entry.established = { ...established, request: answered(request, response) };
      }),
    close: (options = {}) => closeEvent(entry, options),
  });
  const entries = new Entries(live, eventsOf);

  return {
    name: "begin/server",
    inside: ["update-path"],
    outside: ["update-token", "connection-state"],
    provides: [connectionEvents],
    debugState: () => ({ connections: entries.calls.size }),

    async request(ctx, request, next) {
      if (ctx.get(connectionEvents)) return next.request(ctx, request);
      const connection = connectionOf(request);
      return entries.run(ctx, next, connection.id, async (entry) => {
        if (entry.established) assertSameOrigin(ctx, connection, connectionOf(entry.established.request));
        if (entry.established && connection.state === State.RESELECT_REQUESTED) {
          const { established } = entry;
          const events = entry.contextOf(ctx);
          entry.established = undefined;
          await events.detached((c) => closeBeforeReselect(c, entry, established));
        }
        const response = up(await next.request(entry.contextOf(ctx), request));
        entry.establish(ctx, answered(request, response));
        return response;
      });
    },

    async close(ctx, connection, next) {
      if (ctx.get(connectionEvents)) return next.close(ctx, connection);
      return closeFromOutside(entries, ctx, connection, next, assertSameOrigin);
    },
  };
}

/** Sets the state of a new connection to UP, whatever state was requested. */
export function up(connection: Connection): Connection {
  return { ...connection, state: State.UP };
}

/** The request to repeat later: the same request with the answered connection. */
export function answered(request: NetworkServiceRequest, response: Connection): NetworkServiceRequest {
  return { ...request, connection: response };
}

/** The request with the event's patch applied to its connection. */
export function patched(
  request: NetworkServiceRequest,
  { patch }: RequestEventOptions,
): NetworkServiceRequest {
  return patch ? { ...request, connection: patch(connectionOf(request)) } : request;
}
