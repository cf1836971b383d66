import { catchError, filter, NEVER, share, type Observable } from "rxjs";
import { NetworkServiceEndpoint, type NetworkServiceEndpointResponse } from "../../api/index.js";
import { explain, log, type Context, type EndpointRegistry } from "../../core/index.js";
import { endpointKind } from "../../registry/kinds.js";
import { steadyWatch } from "../../registry/steady-watch.js";

/**
 * Emits when an endpoint of a service appears or moves: the moment when healing is worth another try. One watch
 * on the manager's registry, opened again when it breaks; it lives as long as somebody is subscribed. Where it is
 * refused nothing is emitted: healing goes on with its own pauses.
 */
export function endpointWatch(
  ctx: Context,
  registry: EndpointRegistry,
  service: string,
): Observable<NetworkServiceEndpointResponse> {
  const urls = new Map<string, string>();
  const asked = NetworkServiceEndpoint.create({ networkServiceNames: [service] });
  return steadyWatch({ kind: endpointKind, registry, ctx, asked }).pipe(
    catchError((error: unknown) => {
      if (!ctx.signal.aborted)
        log(ctx).warn({ service, error: explain(error) }, "endpoints cannot be watched");
      return NEVER;
    }),
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
