import { catchError, filter, NEVER, share, type Observable } from "rxjs";
import { NetworkServiceEndpoint, type NetworkServiceEndpointResponse } from "../../api/index.js";
import { explain, log, type Context, type EndpointRegistry } from "../../core/index.js";
import { endpointKind } from "../../registry/kinds.js";
import { steadyWatch } from "../../registry/steady-watch.js";

/**
 * Emits when an endpoint of a service is registered or moves, so that healing can retry at once. It uses one
 * watch of the manager's registry, which it reopens when it breaks. The watch is open while there are
 * subscribers. If the registry rejects the watch, nothing is emitted, and healing continues with its own
 * delays.
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
        log(ctx).warn({ service, error: explain(error) }, "cannot watch the endpoints");
      return NEVER;
    }),
    filter(({ networkServiceEndpoint: endpoint, deleted }) => {
      if (!endpoint) return false;
      if (deleted) return urls.delete(endpoint.name) && false;
      // A refreshed registration is not a change.
      const isNews = urls.get(endpoint.name) !== endpoint.url;
      urls.set(endpoint.name, endpoint.url);
      return isNews;
    }),
    share(),
  );
}
