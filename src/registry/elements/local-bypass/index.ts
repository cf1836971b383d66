/**
 * Shows the manager's URL for its endpoints to remote peers, and the real URL to local peers. It forwards a
 * Register with the manager's URL and answers with the real one. A Find shows the real URL of the endpoints
 * that are registered here. An endpoint that has moved to another manager keeps the URL of that manager.
 * Entries with this manager's URL that are unknown to it (registered before a restart and not renewed yet) are
 * hidden. Deletions are always shown.
 *
 * Endpoint registry, in a manager. Before connect or the store. Throws INVALID_ARGUMENT for an endpoint without
 * a valid URL.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { connect } from "nsm-sdk/registry/elements/connect";
 * import { localBypass } from "nsm-sdk/registry/elements/local-bypass";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 *
 * endpointRegistryChain([
 *   updatePath({ tokens }),
 *   begin(),
 *   localBypass({ url: "tcp://10.0.0.1:5001" }),
 *   connect(endpoints),
 * ]);
 *
 * @packageDocumentation
 */
import { filter, map } from "rxjs";
import type { NetworkServiceEndpointResponse } from "../../../api/index.js";
import { Code, NsmError, type ChainElement, type EndpointRegistry } from "../../../core/index.js";

/** Options of localBypass(). */
export interface LocalBypassOptions {
  /** Public URL of the manager. */
  readonly url: string;
}

/** An endpoint of this node. */
interface Local {
  /** The real URL of the endpoint. */
  readonly real: string;
  /** The URL that the registry has for it. */
  readonly registered: string;
}

/** Creates the element. See the module description. */
export function localBypass({ url }: LocalBypassOptions): ChainElement<EndpointRegistry> {
  /** By endpoint name. */
  const local = new Map<string, Local>();

  const revealed = (found: NetworkServiceEndpointResponse): NetworkServiceEndpointResponse => {
    const endpoint = found.networkServiceEndpoint;
    const known = endpoint && local.get(endpoint.name);
    if (!known || (endpoint.url !== url && endpoint.url !== known.registered)) return found;
    return { ...found, networkServiceEndpoint: { ...endpoint, url: known.real } };
  };

  return {
    name: "local-bypass",
    debugState: () => ({ endpoints: local.size }),

    async register(ctx, endpoint, next) {
      checkUrl(endpoint.name, endpoint.url);
      const before = local.get(endpoint.name);
      // Stored before the call, because a watch may report the endpoint before the answer arrives.
      local.set(endpoint.name, { real: endpoint.url, registered: url });
      try {
        const response = await next.register(ctx, { ...endpoint, url });
        local.set(response.name, { real: endpoint.url, registered: response.url });
        return { ...response, url: endpoint.url };
      } catch (error) {
        if (before === undefined) local.delete(endpoint.name);
        else local.set(endpoint.name, before);
        throw error;
      }
    },

    find(ctx, query, next) {
      // A query matches any URL that contains the query's URL. A query for port 5001 also matches port 50010.
      const onlyOwn = query.networkServiceEndpoint?.url === url;
      return next.find(ctx, query).pipe(
        filter((found) => !onlyOwn || found.networkServiceEndpoint?.url === url),
        map(revealed),
        filter(({ deleted, networkServiceEndpoint }) => deleted || networkServiceEndpoint?.url !== url),
      );
    },

    // Also for an unknown name, which may have been registered before a restart of this process.
    async unregister(ctx, endpoint, next) {
      try {
        await next.unregister(ctx, { ...endpoint, url });
      } finally {
        local.delete(endpoint.name);
      }
    },
  };
}

function checkUrl(name: string, url: string): void {
  if (!URL.canParse(url)) {
    throw new NsmError(
      Code.InvalidArgument,
      `invalid URL "${url}" of endpoint ${name}: expected a URL such as tcp://10.0.0.1:5001 or unix:///run/nse.sock`,
    );
  }
}
