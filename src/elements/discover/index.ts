/**
 * Asks the registry who can provide what a connection asks for. Server side; after
 * connectionState(), before roundRobin().
 *
 * A connection that names its endpoint gets that endpoint's URL as `remoteUrl`. Any other gets the `candidates`
 * that the network service's matches choose for its labels, and the service's payload. A URL that is in the
 * Context already decides. Of the endpoints of a large service that is cached, 32 that fit are candidates, by turns.
 * Nothing is waited for: who wants to wait asks again (retry()).
 *
 * A refresh or Close goes to the endpoint that has the connection, without the registry; only when it cannot be
 * reached, or does not know the connection, the registry is asked whether it has moved.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { connectServer } from "nsm-sdk/elements/connect";
 * import { discover } from "nsm-sdk/elements/discover";
 * import { roundRobin } from "nsm-sdk/elements/round-robin";
 *
 * chain([...elements, discover({ networkServices, endpoints }), roundRobin(), connectServer(client)]);
 *
 * @packageDocumentation
 */
import {
  connectionOf,
  patchConnection,
  type Connection,
  type NetworkServiceEndpoint,
} from "../../api/index.js";
import {
  Code,
  ContextKey,
  log,
  NsmError,
  remoteUrl,
  Slot,
  type Context,
  type EndpointRegistry,
  type NetworkServiceElement,
  type NetworkServiceRegistry,
} from "../../core/index.js";
import { endpointChoice, matchEndpoints, type EndpointChoice } from "../../registry/index.js";
import { findEndpoint, findEndpoints, findNetworkService, isAlive, surely } from "./find.js";
import { callKnown, type KnownHop } from "./known-hop.js";

/** The endpoints that may serve the connection, in the order of the service's routes. Set by discover(). */
export const candidates = new ContextKey<readonly NetworkServiceEndpoint[]>("candidates");

/** Whether the first of the `candidates` is the one whose turn it is: a cache has chosen them. Set by discover(). */
export const candidatesInTurn = new ContextKey<boolean>("candidates-in-turn");

/** How many endpoints a connection may have as candidates when more of them fit. */
const MOST_CANDIDATES = 32;

/** What a network service offers a connection. */
interface Fitting {
  readonly found: readonly NetworkServiceEndpoint[];
  readonly payload: string;
  readonly inTurn: boolean;
}

/** Whom to ask. */
export interface DiscoverOptions {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/** See the module's description. Fails with NOT_FOUND for an unknown service or endpoint, or without candidates. */
export function discover({ networkServices, endpoints }: DiscoverOptions): NetworkServiceElement {
  const serving = new Slot<KnownHop>("discover");

  /** The endpoint that has the connection, if that is still the one it names. */
  const servingNow = (
    ctx: Context,
    { networkServiceEndpointName: name }: Connection,
  ): KnownHop | undefined => {
    const known = serving.get(ctx);
    return known?.name === name ? known : undefined;
  };

  /** Where the named endpoint listens; undefined when it is not registered. */
  const urlOf = async (
    ctx: Context,
    { networkServiceEndpointName: name }: Connection,
  ): Promise<string | undefined> => (await findEndpoint(ctx, endpoints, name))?.url;

  /** The URL of the endpoint that the connection names. */
  const named = async (ctx: Context, connection: Connection): Promise<string> => {
    const url = await urlOf(ctx, connection);
    if (url !== undefined) return url;
    throw notRegistered(connection);
  };

  /** The endpoints that fit a connection which names none, and the payload of its service. */
  const fitting = async (
    ctx: Context,
    { networkService: name, payload, labels }: Connection,
  ): Promise<Fitting> => {
    const service = await findNetworkService(ctx, networkServices, name, payload);
    if (!service) {
      const wanted = payload ? ` with payload ${payload}` : "";
      throw new NsmError(Code.NotFound, `network service "${name}"${wanted} is not registered`);
    }
    const choice: EndpointChoice = { service, labels, limit: MOST_CANDIDATES };
    const like = { networkServiceNames: [name] };
    const providers = await findEndpoints(ctx.with(endpointChoice, choice), endpoints, like);
    const alive = providers.filter((endpoint) => isAlive(ctx, endpoint));
    const found = matchEndpoints(labels, service, alive);
    if (found.length > 0) return { found, payload: service.payload, inTurn: choice.inTurn === true };
    throw new NsmError(
      Code.NotFound,
      `no endpoint of network service "${name}" fits: ${providers.length} registered, labels ${JSON.stringify(labels)}`,
    );
  };

  return {
    name: "discover",
    inside: ["connection-state"],
    outside: ["round-robin", "dial", "connect"],
    provides: [candidates, candidatesInTurn, remoteUrl, serving],

    async request(ctx, request, next) {
      if (ctx.get(remoteUrl)) return next.request(ctx, request);
      const connection = connectionOf(request);
      const ask = async (url: string): Promise<Connection> => {
        const response = await next.request(ctx.with(remoteUrl, url), request);
        serving.set(ctx, { name: connection.networkServiceEndpointName, url });
        return response;
      };
      const hop = servingNow(ctx, connection);
      if (hop)
        return callKnown(ctx, {
          endpoints,
          hop,
          call: ask,
          gone: (cause) => notRegistered(connection, cause),
        });
      if (connection.networkServiceEndpointName) return ask(await surely(ctx, (c) => named(c, connection)));

      const { found, payload, inTurn } = await surely(ctx, (c) => fitting(c, connection));
      const response = await next.request(
        ctx.with(candidates, found).with(candidatesInTurn, inTurn),
        patchConnection(request, { payload }),
      );
      const chosen = found.find(({ name }) => name === response.networkServiceEndpointName);
      if (chosen) serving.set(ctx, { name: chosen.name, url: chosen.url });
      return response;
    },

    async close(ctx, connection, next) {
      if (ctx.get(remoteUrl) || !connection.networkServiceEndpointName) return next.close(ctx, connection);
      const call = (url: string): Promise<void> => next.close(ctx.with(remoteUrl, url), connection);
      const hop = servingNow(ctx, connection);
      if (hop)
        return callKnown(ctx, { endpoints, hop, call, gone: (cause) => notRegistered(connection, cause) });
      const url = await urlOf(ctx, connection).catch((error: unknown) => {
        // A registry that is down must not keep a connection alive: dial() may know the remote.
        log(ctx).warn({ err: error, connection: connection.id }, "endpoint lookup for a close failed");
        return undefined;
      });
      return url === undefined ? next.close(ctx, connection) : call(url);
    },
  };
}

function notRegistered({ networkServiceEndpointName: name }: Connection, cause?: unknown): NsmError {
  return new NsmError(Code.NotFound, `endpoint "${name}" is not registered`, { cause });
}
