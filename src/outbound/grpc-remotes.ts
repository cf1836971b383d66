import { systemClock, type Clock, type DebugState } from "../core/index.js";
import type { Identity } from "../identity/index.js";
import { ChannelPool } from "./channel-pool.js";
import { grpcCaller } from "./grpc-caller.js";
import { remoteOver, type HealthRemote, type HealthRemotes } from "./remote.js";
import { targetOf } from "../wire/target.js";

/** Identity of the caller, and the clock by which connections age. */
export interface GrpcRemotesOptions {
  readonly identity: Identity;
  readonly clock?: Clock | undefined;
  /** Time limit for the TLS and HTTP/2 handshake, in milliseconds. Default: 20,000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Whether the process can exit while calls and streams are in progress. Default: false. */
  readonly background?: boolean | undefined;
}

const DEFAULT_HANDSHAKE_TIMEOUT_MS = 20_000;

/** Remotes over gRPC. */
export interface GrpcRemotes extends HealthRemotes {
  /** The number of calls and streams in progress. */
  debugState(): DebugState;
}

/**
 * Connects to remotes over gRPC, on TCP and unix sockets. All remotes of one target share one connection.
 *
 * New calls move to a new connection when the own certificate changes, when a bundle loses an authority that is
 * still valid, and after half of the remaining lifetime of the server's certificate. Calls and streams in progress stay on the old connection.
 *
 * When a call gets no answer in time, the channel sends the server a health check. If that gets no answer
 * either, the channel closes the connection, and its calls fail with UNAVAILABLE.
 *
 * A connection without calls is closed after ten minutes. A connection attempt ends five seconds after its
 * last call.
 *
 * Calls fail at once if the peer is not reachable; retries are up to the caller. Each call carries the
 * caller's token. With TLS, the token is made for the server that completed the handshake.
 *
 * Source: NSM protocol, request headers and credentials.
 *
 * @example
 * import { grpcRemotes, insecureIdentity } from "nsm-sdk";
 *
 * const remotes = grpcRemotes({ identity: insecureIdentity() });
 * const { networkService } = remotes.to("unix:///var/lib/networkservicemesh/nsm.io.sock");
 * const connection = await networkService.request(ctx, request);
 * remotes.close();
 */
export function grpcRemotes(options: GrpcRemotesOptions): GrpcRemotes {
  const { identity, clock: time = systemClock, background = false } = options;
  const { handshakeTimeoutMs = DEFAULT_HANDSHAKE_TIMEOUT_MS } = options;
  // No wait of a connection keeps the process alive; a call does.
  const clock: Clock = {
    now: () => time.now(),
    after: (ms, work) => time.after(ms, work, { background: true }),
  };
  const life = new AbortController();
  const remotes = new Map<string, HealthRemote>();
  const pools = new Set<ChannelPool>();
  const changes = identity.changes.subscribe(() => pools.forEach((pool) => pool.retire()));

  const newRemote = (url: string, target: string): HealthRemote => {
    const newPool = (attachable: boolean): ChannelPool => {
      const pool: ChannelPool = new ChannelPool(
        { url, target, identity, clock, handshakeTimeoutMs, attachable, background },
        {
          until: life.signal,
          onUsed() {
            pools.add(pool);
            if (!remotes.has(target)) remotes.set(target, remote);
          },
          onReleased() {
            pools.delete(pool);
            if (own.every((one) => !pools.has(one)) && remotes.get(target) === remote) remotes.delete(target);
          },
        },
      );
      return pool;
    };
    const plain = newPool(false);
    const attachable = target.startsWith("unix:") ? newPool(true) : plain;
    const own = [plain, attachable];
    const remote = remoteOver(url, grpcCaller({ plain, attachable }));
    return remote;
  };

  return {
    to(url) {
      const target = targetOf(url);
      const remote = remotes.get(target) ?? newRemote(url, target);
      remotes.set(target, remote);
      return remote;
    },
    close() {
      life.abort();
      changes.unsubscribe();
      pools.forEach((pool) => pool.close());
    },
    debugState() {
      const calls = [...pools].reduce((sum, { callCount }) => sum + callCount, 0);
      return calls === 0 ? {} : { outbound: { calls } };
    },
  };
}
