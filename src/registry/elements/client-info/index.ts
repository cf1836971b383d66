/**
 * Labels an endpoint with its location: `nodeName`, `podName` and `clusterName`, from the environment variables
 * NODE_NAME, POD_NAME and CLUSTER_NAME, for each service that it has labels for. Existing labels are kept. A
 * variable that is unset or empty adds no label.
 *
 * Endpoint registry, client or server side. Anywhere before connect or the store.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { clientInfo } from "nsm-sdk/registry/elements/client-info";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 *
 * endpointRegistryChain([begin(), clientInfo(), dialEndpoints({ remotes, url })]);
 *
 * @packageDocumentation
 */
import type { ChainElement, EndpointRegistry } from "../../../core/index.js";
import { clientLabels, type Environment } from "../../../wire/index.js";

/** Options of clientInfo(). */
export interface ClientInfoOptions {
  /** Environment variables, read on every Register. Default: `process.env`. */
  readonly env?: Environment | undefined;
}

/** Creates the element. See the module description. */
export function clientInfo({ env = process.env }: ClientInfoOptions = {}): ChainElement<EndpointRegistry> {
  return {
    name: "client-info",
    register(ctx, endpoint, next) {
      const own = clientLabels(env);
      const networkServiceLabels = Object.fromEntries(
        Object.entries(endpoint.networkServiceLabels).map(([service, theirs]) => [
          service,
          { ...theirs, labels: { ...own, ...theirs.labels } },
        ]),
      );
      return next.register(ctx, { ...endpoint, networkServiceLabels });
    },
  };
}
