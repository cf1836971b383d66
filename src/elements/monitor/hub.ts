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

/** Follows connections at the next hops of a process. Made by {@link monitorHub}. */
export interface MonitorHub {
  /**
   * Follows the connection that has our segment `segment`. Whoever begins to follow after an event is told the
   * last one; an event may overtake the answer to the Request it is about.
   *
   * Never completes and never fails: a peer that is lost is a Observation that says so, the last one.
   */
  follow(ctx: Context, remote: Remote, segment: OwnSegment): Observable<Observation>;
  debugState(): DebugState;
}

/** What a hub watches. */
export interface MonitorHubOptions {
  /**
   * `segment`: one stream per peer for all connections that pass through us, for managers and forwarders.
   * `connection`: a stream for each, for clients, whose names need not be unique.
   */
  readonly scope: "segment" | "connection";
  /** Ends all streams: the program's life. */
  readonly until: AbortSignal;
}

/** The streams to one peer. */
interface Peer {
  /** It refused to show all connections at once. */
  narrow: boolean;
  readonly streams: Map<string, MonitorStream>;
}

/**
 * The monitor streams of a process to its next hops, shared by all who follow something there.
 *
 * A stream that breaks is opened again once, at once; what the new one does not show, or everything when it
 * cannot be had, is DOWN. A peer that refuses to show all connections (PERMISSION_DENIED) is asked for each. A
 * peer that refuses even that, or has no monitor, from the beginning, cannot be watched, which is logged and is
 * no reason to take its connections for dead. A stream nobody follows is closed.
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
      log(ctx).warn({ url: remote.url, error: explain(error) }, "connections at this peer cannot be watched");
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
