/**
 * Shows remote peers the manager's URL for its own endpoints, and local peers their real URL. It forwards a Register
 * with the manager's URL and answers with the real one. A Find shows the real URL of the endpoints that are registered
 * here; an endpoint that has moved to another manager keeps the URL of that manager. Entries that have this manager's
 * URL but are unknown to it (registered before a restart and not renewed yet) are hidden; deletions are always shown.
 *
 * Registry of endpoints, in a manager. Before connect or the store. Throws INVALID_ARGUMENT for an endpoint
 * without a usable URL.
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

/** Where the manager is. */
export interface LocalBypassOptions {
  /** Its public address. */
  readonly url: string;
}

/** An endpoint of this node. */
interface Local {
  /** Where it really is. */
  readonly real: string;
  /** The URL that the registry has for it. */
  readonly registered: string;
}

/** See the module's description. */
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
      // Known before the registry is: a watcher may hear of the endpoint before we are answered.
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
      // A query matches any URL that contains its own, also that of port 50010 for port 5001.
      const onlyOwn = query.networkServiceEndpoint?.url === url;
      return next.find(ctx, query).pipe(
        filter((found) => !onlyOwn || found.networkServiceEndpoint?.url === url),
        map(revealed),
        filter(({ deleted, networkServiceEndpoint }) => deleted || networkServiceEndpoint?.url !== url),
      );
    },

    // Also for a name that is not known: whoever registered it may have done so before we were restarted.
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
      `endpoint ${name} has the URL "${url}"; it must be one, like tcp://10.0.0.1:5001 or unix:///run/nse.sock`,
    );
  }
}
