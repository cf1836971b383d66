import { connectionOf, State, type Connection, type NetworkServiceRequest } from "../../api/index.js";
import {
  connectionEvents,
  LiveConnections,
  type ConnectionEvents,
  type NetworkServiceElement,
  type Reselect,
} from "../../core/index.js";
import { closeBeforeReselect, closeEvent, closeFromOutside } from "./close.js";
import { Entries, type Entry } from "./entries.js";
import { mergeConnection } from "./merge.js";
import { answered, patched, up } from "./server.js";

/** Options of beginClient(). */
export interface BeginClientOptions {
  /**
   * Returns the connection to request in a reselect. Default: the connection without mechanism and endpoint
   * name.
   */
  readonly reselect?: Reselect | undefined;
  /** Collects the established connections. Default: a new collection. */
  readonly live?: LiveConnections | undefined;
}

const anyEndpoint: Reselect = (connection) => ({
  ...connection,
  mechanism: undefined,
  networkServiceEndpointName: "",
});

/** begin() for a client chain, which its own process calls. */
export function beginClient({
  reselect = anyEndpoint,
  live = new LiveConnections(),
}: BeginClientOptions = {}): NetworkServiceElement {
  // The last answer to the caller. A field of the next request that differs from it was changed by the caller.
  const returned = new WeakMap<Entry, Connection>();
  const eventsOf = (entry: Entry): ConnectionEvents => ({
    closed: entry.closed,
    request: (options = {}) =>
      entry.runEvent(options, async (ctx, established) => {
        let { request } = established;
        if (options.reselect && connectionOf(request).state !== State.RESELECT_REQUESTED) {
          await closeBeforeReselect(ctx, entry, established);
          request = reselected(request, options.reselect === true ? reselect : options.reselect);
          // The connection is closed only once: retries request a new endpoint.
          entry.established = { ...established, request };
        }
        const response = up(await entry.next.request(ctx, patched(request, options)));
        entry.established = { ...established, request: answered(request, response) };
      }),
    close: (options = {}) => closeEvent(entry, options),
  });
  const entries = new Entries(live, eventsOf);

  return {
    name: "begin/client",
    inside: ["update-path"],
    outside: ["connection-state"],
    provides: [connectionEvents],
    debugState: () => ({ connections: entries.calls.size }),

    async request(ctx, request, next) {
      if (ctx.get(connectionEvents)) return next.request(ctx, request);
      const asked = connectionOf(request);
      return entries.run(ctx, next, asked.id, async (entry) => {
        const stored = entry.established?.request.connection;
        const connection = stored ? mergeConnection({ stored, returned: returned.get(entry), asked }) : asked;
        const response = up(await next.request(entry.contextOf(ctx), { ...request, connection }));
        entry.establish(ctx, answered(request, response));
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
