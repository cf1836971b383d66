/**
 * Selects the remote of the next hop. Client side; after connectionState() and the element that sets
 * `remoteUrl`, before connectClient().
 *
 * Reads `remoteUrl` and sets `nextRemote`, which connectClient(), monitor() and heal() use. Remotes are pooled.
 * If a refresh changes the next hop, dial() first closes the connection at the old next hop. A failure of this
 * Close is logged, because the old next hop may be gone.
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

/** The next hop of a connection. Changed in place, so that a Close follows the last Request, even a failed one. */
interface NextHop {
  remote: Remote;
}

const nextHop = new Slot<NextHop>("peer-remote");

/** The remote of a connection's next hop. Set by dial(). */
export const nextRemote = {
  get: (ctx: Context): Remote | undefined => nextHop.get(ctx)?.remote,
  set(ctx: Context, remote: Remote): void {
    const known = nextHop.get(ctx);
    if (known) known.remote = remote;
    else nextHop.set(ctx, { remote });
  },
};

/** Options of dial(). */
export interface DialOptions {
  readonly remotes: Remotes;
}

/** Creates the element. See the module description. A Request fails with UNAVAILABLE if the address is invalid. */
export function dial({ remotes }: DialOptions): NetworkServiceElement {
  const remoteTo = (url: string): Remote => {
    try {
      return remotes.to(url);
    } catch (cause) {
      throw new NsmError(
        Code.Unavailable,
        `invalid next-hop address "${url}": expected tcp://host:port or unix:///path`,
        { cause },
      );
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
      // The remotes normalize addresses, so compare their URLs.
      if (known?.url === remote.url) return next.request(ctx, request);

      if (known) await closeQuietly(ctx, connectionOf(request), next);
      nextRemote.set(ctx, remote);
      ctx.throwIfDone();
      return next.request(ctx, request);
    },

    async close(ctx, connection, next) {
      const url = ctx.get(remoteUrl);
      // The next hop may have a new address since the last Request.
      if (url) nextRemote.set(ctx, remoteTo(url));
      await next.close(ctx, connection);
    },
  };
}

/**
 * Uses at most half of the remaining time, so that the new next hop has time even if the old one does not
 * answer.
 */
async function closeQuietly(ctx: Context, connection: Connection, next: NetworkService): Promise<void> {
  const { remainingMs } = ctx;
  try {
    await ctx.detached((c) => next.close(c, connection), remainingMs && Math.max(0, remainingMs / 2));
  } catch (error) {
    log(ctx).warn({ err: error, connection: connection.id }, "Close at the earlier next hop failed");
  }
}
