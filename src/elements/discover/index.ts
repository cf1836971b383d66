/**
 * Finds the endpoints for a connection in the registry. Server side; after connectionState(), before
 * roundRobin().
 *
 * If the connection names its endpoint, discover() sets that endpoint's URL as `remoteUrl`. Otherwise it sets
 * the `candidates` that the matches of the network service select for the connection's labels, and the payload
 * of the service. If the Context already has a URL, discover() does nothing. For a large cached service, at
 * most 32 matching endpoints are candidates, in rotating order. discover() never waits for registrations; use
 * retry() for that.
 *
 * A refresh or Close goes to the endpoint of the connection, without the registry. discover() checks in the
 * registry whether the endpoint has moved only if the endpoint is unreachable or does not know the connection.
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

/** The endpoints that can serve the connection, in the order of the service's routes. Set by discover(). */
export const candidates = new ContextKey<readonly NetworkServiceEndpoint[]>("candidates");

/** Whether the `candidates` are already rotated, because a cache selected them. Set by discover(). */
export const candidatesInTurn = new ContextKey<boolean>("candidates-in-turn");

/** Maximum number of candidates of a connection. */
const MOST_CANDIDATES = 32;

/** The endpoints and the payload that a network service has for a connection. */
interface Fitting {
  readonly found: readonly NetworkServiceEndpoint[];
  readonly payload: string;
  readonly inTurn: boolean;
}

/** Options of discover(). */
export interface DiscoverOptions {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/**
 * Creates the element. See the module description. A Request fails with NOT_FOUND if the service or endpoint is
 * unknown, or if no endpoint matches.
 */
export function discover({ networkServices, endpoints }: DiscoverOptions): NetworkServiceElement {
  const serving = new Slot<KnownHop>("discover");

  /** The endpoint that serves the connection, if the connection still names it. */
  const servingNow = (
    ctx: Context,
    { networkServiceEndpointName: name }: Connection,
  ): KnownHop | undefined => {
    const known = serving.get(ctx);
    return known?.name === name ? known : undefined;
  };

  /** The URL of the named endpoint, or undefined if it is not registered. */
  const urlOf = async (
    ctx: Context,
    { networkServiceEndpointName: name }: Connection,
  ): Promise<string | undefined> => (await findEndpoint(ctx, endpoints, name))?.url;

  /** The URL of the named endpoint. Throws NOT_FOUND if it is not registered. */
  const named = async (ctx: Context, connection: Connection): Promise<string> => {
    const url = await urlOf(ctx, connection);
    if (url !== undefined) return url;
    throw notRegistered(connection);
  };

  /** The endpoints that match a connection without an endpoint name, and the payload of its service. */
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
      `no endpoint of network service "${name}" matches: ${providers.length} registered, labels ${JSON.stringify(labels)}`,
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
        // An unavailable registry must not prevent the Close, because dial() may know the remote.
        log(ctx).warn({ err: error, connection: connection.id }, "endpoint lookup for a Close failed");
        return undefined;
      });
      return url === undefined ? next.close(ctx, connection) : call(url);
    },
  };
}

function notRegistered({ networkServiceEndpointName: name }: Connection, cause?: unknown): NsmError {
  return new NsmError(Code.NotFound, `endpoint "${name}" is not registered`, { cause });
}
