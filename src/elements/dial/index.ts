/**
 * Chooses the remote to the next hop. Client side; after connectionState() and whatever sets `remoteUrl`, before
 * connectClient().
 *
 * Reads `remoteUrl` and fills `nextRemote`, which connectClient(), monitor() and heal() use. Remotes are pooled, so
 * this costs nothing. When a refresh leads elsewhere, the connection is closed at the old next hop first; that
 * may fail, it is gone perhaps.
 *
 * @example
 * import { chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { clientUrl } from "nsm-sdk/elements/client-url";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 *
 * chain([
 *   updatePath({ name }),
 *   beginClient(),
 *   connectionState(),
 *   clientUrl(url),
 *   dial({ remotes }),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import { connectionOf, type Connection } from "../../api/index.js";
import {
  Code,
  log,
  NsmError,
  remoteUrl,
  Slot,
  type Context,
  type Remote,
  type Remotes,
  type NetworkService,
  type NetworkServiceElement,
} from "../../core/index.js";

/** Where a connection goes on. Changed in place: a Close follows the last Request, even one that failed. */
interface NextHop {
  remote: Remote;
}

const nextHop = new Slot<NextHop>("peer-remote");

/** The remote to the next hop of a connection: handed over by dial(). */
export const nextRemote = {
  get: (ctx: Context): Remote | undefined => nextHop.get(ctx)?.remote,
  set(ctx: Context, remote: Remote): void {
    const known = nextHop.get(ctx);
    if (known) known.remote = remote;
    else nextHop.set(ctx, { remote });
  },
};

/** Where the remotes come from. */
export interface DialOptions {
  readonly remotes: Remotes;
}

/** See the module's description. Fails with UNAVAILABLE for an address nobody can have. */
export function dial({ remotes }: DialOptions): NetworkServiceElement {
  const remoteTo = (url: string): Remote => {
    try {
      return remotes.to(url);
    } catch (cause) {
      throw new NsmError(Code.Unavailable, `the next hop's address "${url}" is of no use`, { cause });
    }
  };

  return {
    name: "dial",
    inside: ["connection-state"],
    outside: ["compensate", "trim-path/client", "connect/client"],
    reads: [remoteUrl],
    provides: [nextHop],

    async request(ctx, request, next) {
      const url = ctx.get(remoteUrl);
      const known = nextRemote.get(ctx);
      if (!url) return next.request(ctx, request);
      const remote = remoteTo(url);
      // One address may be written in several ways: the remotes know.
      if (known?.url === remote.url) return next.request(ctx, request);

      if (known) await closeQuietly(ctx, connectionOf(request), next);
      nextRemote.set(ctx, remote);
      ctx.throwIfDone();
      return next.request(ctx, request);
    },

    async close(ctx, connection, next) {
      const url = ctx.get(remoteUrl);
      // A next hop that was found anew may have moved since the last Request.
      if (url) nextRemote.set(ctx, remoteTo(url));
      await next.close(ctx, connection);
    },
  };
}

/** Takes half of the time that is left at most: an old next hop that is silent must not use up the new one's. */
async function closeQuietly(ctx: Context, connection: Connection, next: NetworkService): Promise<void> {
  const { remainingMs } = ctx;
  try {
    await ctx.detached((c) => next.close(c, connection), remainingMs && Math.max(0, remainingMs / 2));
  } catch (error) {
    log(ctx).warn({ err: error, connection: connection.id }, "close at the earlier next hop failed");
  }
}
