/**
 * Publishes events of the connections of this process: established or refreshed, changed, down, closed. Changes
 * that the next hop reports (path, context, state) are forwarded, so that the loss of an endpoint reaches the
 * client, with its reason and the hop that detected it.
 *
 * A failed Request does not change the established connection: its caller has the error, and the next hop
 * reports a loss. Only at the last hop, a permanent failure means DOWN.
 *
 * Elements that authorize or count can precede the service, in a monitorChain().
 *
 * It has two parts: `element` is for the chain, `service` is served to callers. A caller with an identity sees
 * only the connections that it requested. Without TLS, every caller sees all connections.
 *
 * Server side. After connection-state; before trim-path and all elements that may fail, so that it sees the
 * final answer. Reads the slot `nextRemote`; sets `connectionUpdate`. NSM protocol, MonitorConnections.
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
import { subjectOf } from "../../identity/token-subject.js";
import { Following } from "./following.js";
import { markRequest, requestMark, withDownReason } from "./marks.js";
import { type MonitorHub } from "./hub.js";
import { type Observation } from "./stream.js";
import { connectionFields } from "../connection-log/fields.js";
import { nextRemote } from "../dial/index.js";
import { ConnectionTable } from "./connection-table.js";
import { relayed } from "./relay.js";

/** Options of monitor(). */
export interface MonitorOptions {
  /** Source of connection events from next hops. Default: none; events of next hops are not forwarded. */
  readonly hub?: MonitorHub | undefined;
  /** The lifetime of the program. Ends all streams. */
  readonly until: AbortSignal;
  /** Shows every connection to every caller. Default: false. */
  readonly showAll?: boolean | undefined;
}

/** The two parts of a monitor. */
export interface Monitor {
  readonly element: NetworkServiceElement;
  readonly service: MonitorConnection;
}

/** A published connection, and the subscription at its next hop. */
interface Shown {
  readonly id: string;
  following: Following | undefined;
}

/** The fields of a connection that an element may change. */
export type ConnectionChange = Partial<Pick<Connection, "state" | "context">>;

/**
 * Publishes a change of the connection that the call belongs to, at any time while it is established. For
 * elements after monitor() that request a refresh from their client (REFRESH_REQUESTED), for example. Set by
 * monitor().
 */
export const connectionUpdate = new ContextKey<(change: ConnectionChange) => void>("connection-update");

/** Creates the element and the service. See the module description. */
export function monitor({ hub, until, showAll = false }: MonitorOptions): Monitor {
  const table = new ConnectionTable(until, showAll);
  // Set once, so that a refresh that an earlier element rejects does not withdraw the connection.
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
      // A new connection is UP, whatever state was requested (RESELECT_REQUESTED, for example).
      table.put({ ...response, state: State.UP }, ownerOf(ctx, response));
      const shown = known ?? { id: response.id, following: undefined };
      slot.set(ctx, shown);
      follow(ctx, shown, response, requestMark(currentSegment(asked)));
      return response;
    },

    async close(ctx, connection, next) {
      // The DOWN event after the Close of this process is not for callers.
      stop(slot.get(ctx));
      await next.close(ctx, connection);
    },
  };
  // A separate object, because a chain may call the method without its object.
  const service: MonitorConnection = {
    monitorConnections: (ctx, selector) => table.monitorConnections(ctx, selector),
  };
  return { element, service };
}

/** The identity that requested a connection, from the caller's certificate or else from its token. */
function ownerOf(ctx: Context, connection: Connection): string | undefined {
  const proved = ctx.get(peer)?.spiffeId;
  if (proved !== undefined) return proved;
  // Not a valid token: only callers without an identity may see the connection.
  return subjectOf(previousSegment(connection)?.token ?? "");
}
export { monitorHub, type MonitorHub, type MonitorHubOptions } from "./hub.js";
export { type DownCause, type DownReason } from "./marks.js";
export type { OwnSegment, Observation } from "./stream.js";
