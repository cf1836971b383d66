import { connectionOf, State, type Connection, type NetworkServiceRequest } from "../../api/index.js";
import {
  connectionEvents,
  type ConnectionEvents,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";
import { closeEvent, closeFromOutside } from "./close.js";
import { closeQuietly, Entries, type Entry } from "./entries.js";
import { mergeConnection } from "./merge.js";
import { answered, up } from "./server.js";

/** Turns a connection into the wish for another one. */
export type Reselect = (connection: Connection) => Connection;

/** How beginClient() asks for another endpoint. */
export interface BeginClientOptions {
  /** Forgets mechanism and endpoint when left out. */
  readonly reselect?: Reselect;
}

const anyEndpoint: Reselect = (connection) => ({
  ...connection,
  mechanism: undefined,
  networkServiceEndpointName: "",
});

/** begin() for a chain that is called by its own process. */
export function beginClient({ reselect = anyEndpoint }: BeginClientOptions = {}): NetworkServiceElement {
  const entries = new Entries();
  // What the caller was given last: what differs from it in the next request, the caller has changed.
  const returned = new WeakMap<Entry, Connection>();

  const eventsOf = (entry: Entry, next: NetworkService): ConnectionEvents => {
    const events: ConnectionEvents = {
      closed: entry.closed,
      request: (options = {}) =>
        entry.runEvent(options, async (ctx, established) => {
          const inner = ctx.with(connectionEvents, events);
          let { request } = established;
          if (options.reselect && connectionOf(request).state !== State.RESELECT_REQUESTED) {
            await closeQuietly(inner, next, established);
            request = reselected(request, reselect);
            // Closed is closed: a second try does not close again, nor does it ask for the old endpoint.
            entry.established = { ctx: established.ctx, request };
          }
          const response = up(await next.request(inner, request));
          entry.established = { ctx: established.ctx, request: answered(request, response) };
        }),
      close: (options = {}) => closeEvent(entries, entry, options, next),
    };
    return events;
  };

  return {
    name: "begin/client",
    needs: ["update-path"],
    debugState: () => ({ connections: entries.size }),

    async request(ctx, request, next) {
      if (ctx.get(connectionEvents)) return next.request(ctx, request);
      const asked = connectionOf(request);
      return entries.run(asked.id, async (entry) => {
        ctx.throwIfDone();
        const stored = entry.established?.request.connection;
        const connection = stored ? mergeConnection({ stored, returned: returned.get(entry), asked }) : asked;
        const inner = ctx.with(connectionEvents, eventsOf(entry, next));
        const response = up(await next.request(inner, { ...request, connection }));
        entry.established = { ctx, request: answered(request, response) };
        returned.set(entry, response);
        return response;
      });
    },

    async close(ctx, connection, next) {
      if (ctx.get(connectionEvents)) return next.close(ctx, connection);
      return closeFromOutside(entries, ctx, connection, next);
    },
  };
}

function reselected(request: NetworkServiceRequest, reselect: Reselect): NetworkServiceRequest {
  return { ...request, connection: { ...reselect(connectionOf(request)), state: State.RESELECT_REQUESTED } };
}
