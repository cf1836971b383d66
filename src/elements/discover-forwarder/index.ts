/**
 * Chooses the forwarder that carries a connection, and keeps to it. Server side, in an nsmgr; before
 * connectServer().
 *
 * Asks the registry for the forwarders that are registered through this nsmgr and offer what the network service
 * wants (`p2p=true` unless its match says otherwise), tries them beginning with a different one each time, and
 * remembers which one took the connection. A refresh goes to that one, or to the one that the path names when
 * the nsmgr was restarted; a reselect may go to any, to the one in the path last.
 *
 * @example
 * chain([..., discoverForwarder({ networkServices, endpoints, url: "tcp://10.0.0.1:5001" }), connectServer(client)]);
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
  firstThatWorks,
  log,
  matchForwarders,
  NsmError,
  remoteUrl,
  Slot,
  type Context,
  type EndpointRegistry,
  type NetworkServiceElement,
  type NetworkServiceRegistry,
} from "../../core/index.js";
import { findEndpoint, findEndpoints, findNetworkService, isAlive, surely } from "../discover/find.js";

/** Whom to ask, and for what. */
export interface DiscoverForwarderOptions {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  /** The nsmgr's own URL, under which its forwarders are registered. */
  readonly url: string;
  /** The network service that forwarders provide, `forwarder` when left out. */
  readonly service?: string;
}

/**
 * See the module's description. Fails with NOT_FOUND for an unknown service or without forwarders; when all
 * refuse, with the code they agree on, else UNAVAILABLE, and all their errors as cause.
 */
export function discoverForwarder(options: DiscoverForwarderOptions): NetworkServiceElement {
  const { networkServices, endpoints, url, service = "forwarder" } = options;
  const pinned = new Slot<string>("discover-forwarder");
  let turn = 0;

  /** The forwarders to try, in order. */
  async function choose(ctx: Context, connection: Connection): Promise<readonly NetworkServiceEndpoint[]> {
    const { networkService: name, labels } = connection;
    const wanted = await findNetworkService(ctx, networkServices, name);
    if (!wanted) throw new NsmError(Code.NotFound, `network service "${name}" is not registered`);

    const reselect = connection.state === State.RESELECT_REQUESTED;
    const keep = reselect ? undefined : pinned.get(ctx);
    const registered = await findEndpoints(ctx, endpoints, {
      name: keep ?? "",
      networkServiceNames: [service],
      url,
    });
    const fit = matchForwarders(
      labels,
      wanted,
      registered.filter((forwarder) => isAlive(ctx, forwarder)),
      service,
    );
    if (fit.length > 0) return ordered(fit, nextSegment(connection)?.name, reselect);
    throw new NsmError(
      Code.NotFound,
      keep === undefined
        ? `none of ${registered.length} registered forwarders fits network service "${name}"`
        : `forwarder "${keep}", which carries the connection, is not registered any more`,
    );
  }

  function ordered(
    forwarders: readonly NetworkServiceEndpoint[],
    inPath: string | undefined,
    reselect: boolean,
  ): readonly NetworkServiceEndpoint[] {
    const start = turn++ % forwarders.length;
    const rotated = [...forwarders.slice(start), ...forwarders.slice(0, start)];
    const known = rotated.filter(({ name }) => name === inPath);
    const others = rotated.filter(({ name }) => name !== inPath);
    return reselect ? [...others, ...known] : [...known, ...others];
  }

  return {
    name: "discover-forwarder",
    outside: ["dial", "connect"],
    provides: [pinned, remoteUrl],
    inside: ["connection-state"],

    async request(ctx, request, next) {
      return firstThatWorks(
        ctx,
        await surely(ctx, (c) => choose(c, connectionOf(request))),
        async (forwarder) => {
          const response = await next.request(ctx.with(remoteUrl, forwarder.url), request);
          pinned.set(ctx, forwarder.name);
          return response;
        },
        (tried) => `none of ${tried} forwarders took the connection`,
      );
    },

    async close(ctx, connection, next) {
      const name = pinned.take(ctx) ?? nextSegment(connection)?.name;
      const forwarder = name
        ? await findEndpoint(ctx, endpoints, name).catch((error: unknown) => {
            // A registry that is down must not keep a connection alive: dial() still knows the link.
            log(ctx).warn({ err: error, connection: connection.id }, "forwarder lookup for a close failed");
            return undefined;
          })
        : undefined;
      return next.close(forwarder ? ctx.with(remoteUrl, forwarder.url) : ctx, connection);
    },
  };
}
