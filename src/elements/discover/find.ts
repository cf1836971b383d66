import { lastValueFrom, toArray } from "rxjs";
import {
  fromTimestamp,
  NetworkServiceEndpoint,
  NetworkServiceEntry,
  type NetworkServiceEndpointQuery,
} from "../../api/index.js";
import {
  Code,
  codeOf,
  type Context,
  type EndpointRegistry,
  type NetworkServiceRegistry,
} from "../../core/index.js";
import { bypassCache } from "../../registry/index.js";

/** The registered endpoints that answer the query at this moment. */
export async function findEndpoints(
  ctx: Context,
  registry: EndpointRegistry,
  query: Partial<NetworkServiceEndpoint>,
): Promise<readonly NetworkServiceEndpoint[]> {
  const asked: NetworkServiceEndpointQuery = {
    networkServiceEndpoint: { ...NetworkServiceEndpoint.create(), ...query },
    watch: false,
  };
  const found = await lastValueFrom(registry.find(ctx, asked).pipe(toArray()));
  return found.flatMap(({ networkServiceEndpoint: endpoint, deleted }) =>
    endpoint && !deleted ? [endpoint] : [],
  );
}

/** The endpoint of exactly that name. */
export async function findEndpoint(
  ctx: Context,
  registry: EndpointRegistry,
  name: string,
): Promise<NetworkServiceEndpoint | undefined> {
  return (await findEndpoints(ctx, registry, { name })).find((endpoint) => endpoint.name === name);
}

/** The network service of exactly that name, and that payload unless it is empty. */
export async function findNetworkService(
  ctx: Context,
  registry: NetworkServiceRegistry,
  name: string,
  payload = "",
): Promise<NetworkServiceEntry | undefined> {
  const query = { networkService: NetworkServiceEntry.create({ name, payload }), watch: false };
  const found = await lastValueFrom(registry.find(ctx, query).pipe(toArray()));
  return found.find(({ networkService, deleted }) => networkService?.name === name && !deleted)
    ?.networkService;
}

/** Whether the registration still holds; one without expiration always does. */
export function isAlive(ctx: Context, { expirationTime }: NetworkServiceEndpoint): boolean {
  return expirationTime === undefined || fromTimestamp(expirationTime) > ctx.clock.now();
}

/** What `look` finds. When it says NOT_FOUND it looks once more, past every cache: a miss has to be certain. */
export async function surely<R>(ctx: Context, look: (ctx: Context) => Promise<R>): Promise<R> {
  try {
    return await look(ctx);
  } catch (error) {
    if (codeOf(error) !== Code.NotFound) throw error;
    return look(ctx.with(bypassCache, true));
  }
}
