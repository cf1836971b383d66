/**
 * Tells others what happens to the connections of this process: made or refreshed, changed, down, closed. What
 * the next hop says about a connection is told on (path, context, state), so that the news of a dead endpoint
 * reaches the client at the other end.
 *
 * One object with two halves: `element` stands in the chain, `service` is served to callers. A caller with an
 * identity sees the connections that it asked for itself; without TLS everybody sees all.
 *
 * Server side. After connection-state; outside trim-path and whatever may fail, so that it sees the final answer.
 * Reads the slot `peerLink`; sets `connectionUpdate`. NSM protocol, MonitorConnections.
 *
 * @example
 * const hub = monitorHub({ scope: "segment", until });
 * const { element, service } = monitor({ hub, until });
 * const served = { networkService: chain([updatePath({ name }), beginServer(), connectionState(), element]), monitor: service };
 *
 * @packageDocumentation
 */
import {
  connectionOf,
  currentSegment,
  nextSegment,
  pathOf,
  previousSegment,
  State,
  type Connection,
} from "../../api/index.js";
import {
  atEnd,
  ContextKey,
  peer,
  Slot,
  type Context,
  type MonitorConnection,
  type NetworkServiceElement,
} from "../../core/index.js";
import { parseToken } from "../../identity/index.js";
import type { MonitorHub, Sighting } from "../../outbound/index.js";
import { peerLink } from "../dial/index.js";
import { Board } from "./board.js";
import { Relay, relayed } from "./relay.js";

/** What a monitor watches and shows. */
export interface MonitorOptions {
  /** Where the news from next hops come from; none are told on when left out. */
  readonly hub?: MonitorHub;
  /** Ends all streams: the program's life. */
  readonly until: AbortSignal;
  /** Shows every connection to everybody, whoever asked for it. */
  readonly showAll?: boolean;
}

/** The two halves of a monitor. */
export interface Monitor {
  readonly element: NetworkServiceElement;
  readonly service: MonitorConnection;
}

/** What an element may say about its connection. */
export type ConnectionChange = Partial<Pick<Connection, "state" | "context">>;

/**
 * Publishes a change of the connection whose call it is, at any time while that stands: for elements inside
 * monitor() that want their client to ask again (REFRESH_REQUESTED), say. Set by monitor().
 */
export const connectionUpdate = new ContextKey<(change: ConnectionChange) => void>("connection-update");

/** See the module's description. */
export function monitor({ hub, until, showAll = false }: MonitorOptions): Monitor {
  const board = new Board(until, showAll);
  const slot = new Slot<Relay>("monitor");
  const relays = new Set<Relay>();
  atEnd(until, () => [...relays].forEach(stop));

  const change = (id: string, changed: (own: Connection) => Connection | undefined): void => {
    const own = board.get(id);
    const next = own && changed(own);
    if (next) board.put(next);
  };

  const stop = (relay: Relay | undefined): void => {
    relay?.stop();
    if (relay) relays.delete(relay);
  };

  const follow = (ctx: Context, connection: Connection, current: Relay | undefined): void => {
    const link = peerLink.get(ctx);
    if (!hub || !link || !nextSegment(connection) || until.aborted) return stop(slot.take(ctx));
    const { name, id } = currentSegment(connection)!;
    const segment = { index: pathOf(connection).index, name, id };
    if (current?.serves(link, segment)) return current.speak({ discard: false });
    stop(current);
    const tellOn = (sighting: Sighting): void => change(connection.id, (own) => relayed(own, sighting));
    const relay = new Relay(ctx, hub, link, segment, tellOn);
    relays.add(relay);
    slot.set(ctx, relay);
  };

  const element: NetworkServiceElement = {
    name: "monitor",
    inside: ["connection-state"],
    outside: ["trim-path", "connect", "mechanisms", "discover", "discover-forwarder", "round-robin"],
    provides: [slot, connectionUpdate],
    debugState: () => ({ ...board.debugState(), relays: relays.size }),

    async request(ctx, request, next) {
      const { id } = connectionOf(request);
      const update = (said: ConnectionChange): void => change(id, (own) => ({ ...own, ...said }));
      const relay = slot.get(ctx);
      relay?.listen();
      let response: Connection;
      try {
        response = await next.request(ctx.with(connectionUpdate, update), request);
      } catch (error) {
        // Whoever watches should not have to wait for its own refresh to fail.
        change(id, (own) => ({ ...own, state: State.DOWN }));
        relay?.speak({ discard: true });
        throw error;
      }
      // Whatever state was asked for (RESELECT_REQUESTED, say): what was just made is up.
      board.put({ ...response, state: State.UP }, ownerOf(ctx, response));
      follow(ctx, response, relay);
      return response;
    },

    async close(ctx, connection, next) {
      stop(slot.take(ctx));
      try {
        await next.close(ctx, connection);
      } finally {
        board.delete(connection.id);
      }
    },
  };
  return { element, service: board };
}

/** Who asked for a connection: the certificate of the caller says so, or else its token. */
function ownerOf(ctx: Context, connection: Connection): string | undefined {
  const proved = ctx.get(peer)?.spiffeId;
  if (proved !== undefined) return proved;
  const token = previousSegment(connection)?.token;
  try {
    return token ? parseToken(token).sub : undefined;
  } catch {
    // No token at all: only those without an identity of their own may see the connection.
    return undefined;
  }
}
