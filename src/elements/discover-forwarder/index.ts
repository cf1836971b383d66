/**
 * Selects the forwarder that carries a connection, and keeps it. Server side, in an nsmgr; before
 * connectServer().
 *
 * Queries the registry for the forwarders that are registered through this nsmgr and have the labels that the
 * network service requires. By default, `p2p=true` is required; the match of a network service can override
 * this. It tries the forwarders in rotating order and remembers the one that accepted the connection. A refresh
 * or Close goes to that forwarder, and uses the registry only if the forwarder is unreachable. After a restart
 * of the nsmgr, a refresh goes to the forwarder that the path names. A reselect may go to any forwarder, and to
 * the one in the path last.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { connectServer } from "nsm-sdk/elements/connect";
 * import { discoverForwarder } from "nsm-sdk/elements/discover-forwarder";
 *
 * chain([
 *   ...elements,
 *   discoverForwarder({ networkServices, endpoints, url: "tcp://10.0.0.1:5001" }),
 *   connectServer(client),
 * ]);
 *
 * @packageDocumentation
 */
import {
  connectionOf,
  nextSegment,
  State,
  type Connection,
  type NetworkServiceEndpoint,
} from "../../api/index.js";
import {
  Code,
  codeOf,
  tryEach,
  log,
  NsmError,
  remoteUrl,
  Slot,
  type Context,
  type EndpointRegistry,
  type NetworkServiceElement,
  type NetworkServiceRegistry,
} from "../../core/index.js";
import { matchForwarders } from "../../registry/index.js";
import { callKnown, type KnownHop } from "../discover/known-hop.js";
import { findEndpoint, findEndpoints, findNetworkService, isAlive, surely } from "../discover/find.js";

/** Options of discoverForwarder(). */
export interface DiscoverForwarderOptions {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  /** URL of the nsmgr, under which its forwarders are registered. */
  readonly url: string;
  /** The network service that forwarders provide. Default: `forwarder`. */
  readonly service?: string | undefined;
  /** The order in which forwarders are tried. Default: by turns, each Request beginning with the next one. */
  readonly choose?: ChooseForwarder | undefined;
}

/**
 * Orders the forwarders that fit a connection; one that it omits is not tried. A connection that has a forwarder
 * stays with it.
 */
export type ChooseForwarder = (
  forwarders: readonly NetworkServiceEndpoint[],
  connection: Connection,
) => readonly NetworkServiceEndpoint[];

/** Each Request begins with the next forwarder. */
function byTurns(): ChooseForwarder {
  let turn = 0;
  return (forwarders) => {
    const start = turn++ % forwarders.length;
    return [...forwarders.slice(start), ...forwarders.slice(0, start)];
  };
}

/**
 * Creates the element. See the module description. A Request fails with NOT_FOUND if the service is unknown or
 * no forwarder matches. If all forwarders fail, the error has their common code or UNAVAILABLE, and all
 * failures as its cause.
 */
export function discoverForwarder(options: DiscoverForwarderOptions): NetworkServiceElement {
  const { networkServices, endpoints, url, service = "forwarder", choose: chosen = byTurns() } = options;
  const pinned = new Slot<KnownHop>("discover-forwarder");

  /** Returns the forwarders to try, in order. */
  async function choose(ctx: Context, connection: Connection): Promise<readonly NetworkServiceEndpoint[]> {
    const { networkService: name, labels } = connection;
    const wanted = await findNetworkService(ctx, networkServices, name);
    if (!wanted) throw new NsmError(Code.NotFound, `network service "${name}" is not registered`);

    const reselect = connection.state === State.RESELECT_REQUESTED;
    const registered = await findEndpoints(ctx, endpoints, { networkServiceNames: [service], url });
    const fit = matchForwarders(
      labels,
      wanted,
      registered.filter((forwarder) => isAlive(ctx, forwarder)),
      service,
    );
    if (fit.length > 0) return ordered(chosen(fit, connection), nextSegment(connection)?.name, reselect);
    throw new NsmError(
      Code.NotFound,
      `no forwarder matches network service "${name}": ${registered.length} registered`,
    );
  }

  function ordered(
    forwarders: readonly NetworkServiceEndpoint[],
    inPath: string | undefined,
    reselect: boolean,
  ): readonly NetworkServiceEndpoint[] {
    const known = forwarders.filter(({ name }) => name === inPath);
    const others = forwarders.filter(({ name }) => name !== inPath);
    return reselect ? [...others, ...known] : [...known, ...others];
  }

  return {
    name: "discover-forwarder",
    outside: ["dial", "connect"],
    provides: [pinned, remoteUrl],
    inside: ["connection-state"],

    async request(ctx, request, next) {
      const ask = async ({ name, url }: KnownHop, c: Context): Promise<Connection> => {
        const response = await next.request(c.with(remoteUrl, url), request);
        pinned.set(ctx, { name, url });
        return response;
      };
      const connection = connectionOf(request);
      const hop = connection.state === State.RESELECT_REQUESTED ? undefined : pinned.get(ctx);
      if (hop) {
        const { name } = hop;
        return callKnown(ctx, {
          endpoints,
          hop,
          call: (url) => ask({ name, url }, ctx),
          gone: (cause) => goneForGood(hop, cause),
        });
      }
      return tryEach(
        ctx,
        await surely(ctx, (c) => choose(c, connection)),
        ask,
        (tried) => `all ${tried} forwarders rejected the connection`,
      );
    },

    async close(ctx, connection, next) {
      const call = (url: string): Promise<void> => next.close(ctx.with(remoteUrl, url), connection);
      const hop = pinned.get(ctx);
      if (hop) return callKnown(ctx, { endpoints, hop, call, gone: (cause) => goneForGood(hop, cause) });
      const name = nextSegment(connection)?.name;
      if (name === undefined) return next.close(ctx, connection);
      const forwarder = await findEndpoint(ctx, endpoints, name).catch((error: unknown) => {
        log(ctx).warn({ err: error, connection: connection.id }, "forwarder lookup for a Close failed");
        return undefined;
      });
      if (forwarder) return call(forwarder.url);
      // This process may have restarted, and its forwarders may not have registered again yet.
      await next.close(ctx, connection).catch((cause: unknown) => {
        if (codeOf(cause) !== Code.NotFound) throw cause;
        throw new NsmError(
          Code.Unavailable,
          `forwarder "${name}", which carries the connection, is not registered here`,
          { cause },
        );
      });
    },
  };
}

function goneForGood({ name }: KnownHop, cause: unknown): NsmError {
  return new NsmError(
    Code.NotFound,
    `forwarder "${name}", which carries the connection, is no longer registered`,
    { cause },
  );
}
