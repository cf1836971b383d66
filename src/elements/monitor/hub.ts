import { Observable } from "rxjs";
import {
  Code,
  codeOf,
  Context,
  explain,
  log,
  logger,
  type DebugState,
  type Remote,
} from "../../core/index.js";
import { atEnd } from "../../core/until.js";
import { MonitorStream, type Follower, type OwnSegment, type Observation } from "./stream.js";

/** Follows connections at the next hops of a process. Created by {@link monitorHub}. */
export interface MonitorHub {
  /**
   * Follows the connection with the own segment `segment`. A late subscriber receives the last event. An event
   * may arrive before the answer to the Request that it is about.
   *
   * The Observable never completes and never fails. If the peer is lost, the last Observation reports it.
   */
  follow(ctx: Context, remote: Remote, segment: OwnSegment): Observable<Observation>;
  debugState(): DebugState;
}

/** Options of monitorHub(). */
export interface MonitorHubOptions {
  /**
   * `segment`: one stream per peer for all connections through this process, for managers and forwarders.
   * `connection`: one stream per connection, for clients, whose names may not be unique.
   */
  readonly scope: "segment" | "connection";
  /** The lifetime of the program. Ends all streams. */
  readonly until: AbortSignal;
}

/** The streams to one peer. */
interface Peer {
  /** Whether the peer refused a stream of all connections. */
  narrow: boolean;
  readonly streams: Map<string, MonitorStream>;
}

/**
 * Creates the hub for the monitor streams of a process to its next hops. All followers share the streams.
 *
 * The hub reopens a broken stream once, immediately. Connections that the new stream does not show are reported
 * as DOWN; if the stream cannot be opened, all are. If a peer refuses to show all connections
 * (PERMISSION_DENIED), the hub opens one stream per connection. If the peer refuses this too, or has no monitor
 * from the start, its connections are not monitored. This is logged; the connections stay up. The hub closes a
 * stream without followers.
 *
 * @example
 * import { monitorHub } from "nsm-sdk/elements/monitor";
 *
 * const hub = monitorHub({ scope: "connection", until });
 * hub
 *   .follow(ctx, remotes.to(connectTo), { index: 0, name, id: "nsc-0" })
 *   .subscribe(({ state }) => console.log(state));
 */
export function monitorHub({ scope, until }: MonitorHubOptions): MonitorHub {
  const peers = new Map<Remote, Peer>();
  const streamOf = new Map<Follower, MonitorStream>();

  const stop = (stream: MonitorStream): void => {
    const { remote, name, id } = stream.options;
    stream.close();
    const peer = peers.get(remote);
    peer?.streams.delete(key(name, id));
    if (peer?.streams.size === 0) peers.delete(remote);
  };

  const attach = (ctx: Context, remote: Remote, follower: Follower, accepted: boolean): void => {
    const { name, id: ownId } = follower.segment;
    const peer = peers.get(remote) ?? { narrow: scope === "connection", streams: new Map() };
    peers.set(remote, peer);
    const id = peer.narrow ? ownId : undefined;
    const known = peer.streams.get(key(name, id));
    const stream = known ?? new MonitorStream({ ctx, remote, name, id, accepted, onLost });
    peer.streams.set(key(name, id), stream);
    streamOf.set(follower, stream);
    stream.attach(follower);
    if (!known && streamOf.get(follower) === stream) stream.open();
  };

  const detach = (follower: Follower): void => {
    const stream = streamOf.get(follower);
    streamOf.delete(follower);
    if (!stream) return;
    stream.detach(follower);
    if (stream.idle) stop(stream);
  };

  const onLost = (stream: MonitorStream, error: unknown): void => {
    const { ctx, remote, id } = stream.options;
    const followers = stream.following;
    const code = codeOf(error);
    const peer = peers.get(remote);
    if (code === Code.PermissionDenied && id === undefined && peer) {
      peer.narrow = true;
      for (const follower of followers) attach(ctx, remote, follower, stream.accepted);
      stop(stream);
      return;
    }
    stop(stream);
    for (const follower of followers) streamOf.delete(follower);
    if (!stream.accepted && (code === Code.PermissionDenied || code === Code.Unimplemented)) {
      log(ctx).warn(
        { url: remote.url, error: explain(error) },
        "cannot monitor the connections at this peer",
      );
      return;
    }
    log(ctx).debug({ url: remote.url, error: explain(error) }, "monitor stream lost");
    stream.loseAll();
  };

  atEnd(until, () => {
    for (const { streams } of [...peers.values()]) [...streams.values()].forEach(stop);
    streamOf.clear();
  });

  return {
    follow: (ctx, remote, segment) =>
      new Observable<Observation>((subscriber) => {
        if (until.aborted) return undefined;
        const own = Context.background({ signal: until, clock: ctx.clock }).with(logger, ctx.get(logger));
        const follower: Follower = { segment, see: (observation) => subscriber.next(observation) };
        attach(own, remote, follower, false);
        return () => detach(follower);
      }),
    debugState() {
      const streams = [...peers.values()].flatMap((peer) => [...peer.streams.values()]);
      return {
        peers: peers.size,
        streams: streams.length,
        following: streamOf.size,
        early: streams.reduce((sum, { remembered }) => sum + remembered, 0),
      };
    },
  };
}

function key(name: string, id: string | undefined): string {
  return id === undefined ? name : `${name}\0${id}`;
}
