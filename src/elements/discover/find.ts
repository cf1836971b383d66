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

/** The registered endpoints that match the query. */
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

/** The endpoint with exactly that name. */
export async function findEndpoint(
  ctx: Context,
  registry: EndpointRegistry,
  name: string,
): Promise<NetworkServiceEndpoint | undefined> {
  return (await findEndpoints(ctx, registry, { name })).find((endpoint) => endpoint.name === name);
}

/** The network service with exactly that name, and with that payload unless the payload is empty. */
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

/** Whether the registration has not expired. A registration without an expiry never expires. */
export function isAlive(ctx: Context, { expirationTime }: NetworkServiceEndpoint): boolean {
  return expirationTime === undefined || fromTimestamp(expirationTime) > ctx.clock.now();
}

/** Runs `look`. If it fails with NOT_FOUND, runs it once more without caches, so that a miss is certain. */
export async function surely<R>(ctx: Context, look: (ctx: Context) => Promise<R>): Promise<R> {
  try {
    return await look(ctx);
  } catch (error) {
    if (codeOf(error) !== Code.NotFound) throw error;
    return look(ctx.with(bypassCache, true));
  }
}
