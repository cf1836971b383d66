import { systemClock, type Clock, type DebugState } from "../core/index.js";
import type { Identity } from "../identity/index.js";
import { ChannelPool } from "./channel-pool.js";
import { grpcCaller } from "./grpc-caller.js";
import { linkOver, type HealthLink, type HealthLinks } from "./link.js";
import { targetOf } from "./target.js";

/** Who calls, and by which clock connections age. */
export interface GrpcLinksOptions {
  readonly identity: Identity;
  readonly clock?: Clock;
  /** How long a peer that took a connection may take to speak TLS and HTTP/2; default 20,000. */
  readonly handshakeTimeoutMs?: number;
}

const DEFAULT_HANDSHAKE_TIMEOUT_MS = 20_000;

/** Links over gRPC. */
export interface GrpcLinks extends HealthLinks {
  /** How many calls and streams are under way. */
  debugState(): DebugState;
}

/**
 * Links over gRPC, on TCP and unix sockets. All links to one target share one connection, kept as long as it is
 * any good: when the own certificate changes, or half of the life of the server's is over, new calls go over a
 * new connection while old calls and streams stay on theirs.
 *
 * Calls fail at once when the peer is not there; waiting and trying again is for those who call. Each carries the
 * caller's token: with TLS one made for the server that answered the handshake.
 *
 * Source: NSM protocol, request headers and credentials.
 *
 * @example
 * const links = grpcLinks({ identity: insecureIdentity() });
 * const { networkService } = links.to("unix:///var/lib/networkservicemesh/nsm.io.sock");
 * const connection = await networkService.request(ctx, request);
 * links.close();
 */
export function grpcLinks(options: GrpcLinksOptions): GrpcLinks {
  const { identity, clock = systemClock, handshakeTimeoutMs = DEFAULT_HANDSHAKE_TIMEOUT_MS } = options;
  const links = new Map<string, HealthLink>();
  const pools: ChannelPool[] = [];
  const changes = identity.changes.subscribe(() => pools.forEach((pool) => pool.retire()));
  let closed = false;
  return {
    to(url) {
      const target = targetOf(url);
      const known = links.get(target);
      if (known) return known;
      const pool = new ChannelPool({ url, target, identity, clock, handshakeTimeoutMs });
      if (closed) pool.close();
      pools.push(pool);
      const link = linkOver(url, grpcCaller(pool));
      links.set(target, link);
      return link;
    },
    close() {
      closed = true;
      changes.unsubscribe();
      pools.forEach((pool) => pool.close());
    },
    debugState() {
      const calls = pools.reduce((sum, { callCount }) => sum + callCount, 0);
      return calls === 0 ? {} : { outbound: { calls } };
    },
  };
}
