/**
 * Tells others what happens to the connections of this process: made or refreshed, changed, down, closed. What
 * the next hop says about a connection is told on (path, context, state), so that the news of a dead endpoint
 * reaches the client at the other end, with its reason and the hop that noticed.
 *
 * A Request that fails says nothing about the connection that stands: its caller has the answer, and a loss shows
 * at the next hop. Only where a Request ends, a clear no means DOWN.
 *
 * Elements that authorize or count may stand before the service, in a monitorChain().
 *
 * One object with two halves: `element` stands in the chain, `service` is served to callers. A caller with an
 * identity sees the connections that it asked for itself; without TLS everybody sees all.
 *
 * Server side. After connection-state; outside trim-path and whatever may fail, so that it sees the final answer.
 * Reads the slot `nextRemote`; sets `connectionUpdate`. NSM protocol, MonitorConnections.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { monitor, monitorHub } from "nsm-sdk/elements/monitor";
 *
 * const hub = monitorHub({ scope: "segment", until });
 * const { element, service } = monitor({ hub, until });
 * const served = {
 *   networkService: chain([updatePath({ name }), beginServer(), connectionState(), element]),
 *   monitor: service,
 * };
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
  codeOf,
  isRefusal,
  ContextKey,
  log,
  peer,
  Slot,
  type Context,
  type MonitorConnection,
  type NetworkServiceElement,
} from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { subjectOf } from "../../identity/index.js";
import { Following } from "./following.js";
import { markRequest, requestMark, withDownReason } from "./marks.js";
import { type MonitorHub } from "./hub.js";
import { type Observation } from "./stream.js";
import { connectionFields } from "../connection-log/index.js";
import { nextRemote } from "../dial/index.js";
import { ConnectionTable } from "./connection-table.js";
import { relayed } from "./relay.js";

/** What a monitor watches and shows. */
export interface MonitorOptions {
  /** Source of connection events from next hops. Default: none, and their events are not forwarded. */
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

/** A connection that is shown, and how its next hop is followed. */
interface Shown {
  readonly id: string;
  following: Following | undefined;
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
  const table = new ConnectionTable(until, showAll);
  // Set once: a refresh that an outer element refuses leaves the connection as this one has shown it.
  const slot = new Slot<Shown>("monitor", {
    release: (shown) => {
      stop(shown);
      table.delete(shown.id);
    },
  });
  const followings = new Set<Following>();
  atEnd(until, () => {
    for (const following of followings) following.stop();
    followings.clear();
  });

  const change = (id: string, changed: (own: Connection) => Connection | undefined): void => {
    const own = table.get(id);
    const next = own && changed(own);
    if (next) table.put(next);
  };

  const stop = (shown: Shown | undefined): void => {
    if (!shown?.following) return;
    shown.following.stop();
    followings.delete(shown.following);
    shown.following = undefined;
  };

  const follow = (ctx: Context, shown: Shown, connection: Connection, mark: string | undefined): void => {
    const remote = nextRemote.get(ctx);
    if (!hub || !remote || !nextSegment(connection) || until.aborted) return stop(shown);
    const { name, id } = currentSegment(connection)!;
    const segment = { index: pathOf(connection).index, name, id };
    if (shown.following?.serves(remote, segment)) return shown.following.requestEnds(mark);
    stop(shown);
    const onObservation = (observation: Observation): void =>
      change(connection.id, (own) => {
        const news = relayed(own, observation);
        if (news?.state === State.DOWN && own.state !== State.DOWN)
          log(ctx).info(connectionFields(own), "connection lost");
        return news;
      });
    shown.following = new Following({ ctx, hub, remote, segment, mark, onObservation });
    followings.add(shown.following);
  };

  const element: NetworkServiceElement = {
    name: "monitor",
    inside: ["connection-state"],
    outside: ["trim-path", "connect", "mechanisms", "discover", "discover-forwarder", "round-robin"],
    provides: [slot, connectionUpdate],
    debugState: () => ({ ...table.debugState(), relays: followings.size }),

    async request(ctx, request, next) {
      const asked = hub ? markRequest(connectionOf(request)) : connectionOf(request);
      const update = (changed: ConnectionChange): void => change(asked.id, (own) => ({ ...own, ...changed }));
      const known = slot.get(ctx);
      known?.following?.requestBegins();
      let response: Connection;
      try {
        response = await next.request(ctx.with(connectionUpdate, update), { ...request, connection: asked });
      } catch (error) {
        if (!known?.following && !ctx.signal.aborted && isRefusal(codeOf(error))) {
          change(asked.id, (own) => withDownReason({ ...own, state: State.DOWN }, "refused"));
        }
        known?.following?.requestEnds();
        throw error;
      }
      // Whatever state was asked for (RESELECT_REQUESTED, say): what was just made is up.
      table.put({ ...response, state: State.UP }, ownerOf(ctx, response));
      const shown = known ?? { id: response.id, following: undefined };
      slot.set(ctx, shown);
      follow(ctx, shown, response, requestMark(currentSegment(asked)));
      return response;
    },

    async close(ctx, connection, next) {
      // The DOWN that follows our own Close is not an event for callers.
      stop(slot.get(ctx));
      await next.close(ctx, connection);
    },
  };
  // An object of its own: whoever links a chain to it may take the method by itself.
  const service: MonitorConnection = {
    monitorConnections: (ctx, selector) => table.monitorConnections(ctx, selector),
  };
  return { element, service };
}

/** Who asked for a connection: the certificate of the caller says so, or else its token. */
function ownerOf(ctx: Context, connection: Connection): string | undefined {
  const proved = ctx.get(peer)?.spiffeId;
  if (proved !== undefined) return proved;
  // No token at all: only those without an identity of their own may see the connection.
  return subjectOf(previousSegment(connection)?.token ?? "");
}
export { Following, type FollowingOptions } from "./following.js";
export { monitorHub, type MonitorHub, type MonitorHubOptions } from "./hub.js";
export {
  downCauseOf,
  isStale,
  markRequest,
  requestMark,
  restoreMark,
  withDownReason,
  withoutMarks,
  type DownCause,
  type DownReason,
} from "./marks.js";
export type { OwnSegment, Observation } from "./stream.js";
