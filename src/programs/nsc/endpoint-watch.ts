import { defer, filter, retry, share, timer, type Observable } from "rxjs";
import { NetworkServiceEndpoint, type NetworkServiceEndpointResponse } from "../../api/index.js";
import { backoff, type Context, type EndpointRegistry } from "../../core/index.js";

/**
 * Emits when an endpoint of a service appears or moves: the moment when healing is worth another try. One watch
 * on the manager's registry, opened again when it breaks; it lives as long as somebody is subscribed.
 */
export function endpointWatch(
  ctx: Context,
  registry: EndpointRegistry,
  service: string,
): Observable<NetworkServiceEndpointResponse> {
  const urls = new Map<string, string>();
  const query = {
    networkServiceEndpoint: NetworkServiceEndpoint.create({ networkServiceNames: [service] }),
    watch: true,
  };
  const wait = backoff({ initialMs: 100, maxMs: 5_000 });
  return defer(() => registry.find(ctx, query)).pipe(
    retry({ delay: () => timer(wait()), resetOnSuccess: true }),
    filter(({ networkServiceEndpoint: endpoint, deleted }) => {
      if (!endpoint) return false;
      if (deleted) return urls.delete(endpoint.name) && false;
      // A refreshed registration is no news.
      const isNews = urls.get(endpoint.name) !== endpoint.url;
      urls.set(endpoint.name, endpoint.url);
      return isNews;
    }),
    share(),
  );
}
