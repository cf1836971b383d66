/**
 * Labels a connection with the location of its client: `nodeName`, `podName` and `clusterName`, from the
 * environment variables NODE_NAME, POD_NAME and CLUSTER_NAME. Existing labels are kept. A variable that is
 * unset or empty adds no label. Selectors of a network service can refer to the labels, as in `{{.nodeName}}`.
 *
 * One element for both sides. Place it anywhere before discover() and discoverForwarder().
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { clientInfo } from "nsm-sdk/elements/client-info";
 * import { connectServer } from "nsm-sdk/elements/connect";
 *
 * chain([updatePath({ name }), beginServer(), connectionState(), clientInfo(), connectServer(client)]);
 *
 * @packageDocumentation
 */
import { connectionOf, patchConnection } from "../../api/index.js";
import type { NetworkServiceElement } from "../../core/index.js";
import { clientLabels, type Environment } from "../../wire/index.js";

/** Options of clientInfo(). */
export interface ClientInfoOptions {
  /** Environment variables. Default: `process.env`. */
  readonly env?: Environment | undefined;
}

/** Creates the element. See the module description. */
export function clientInfo({ env = process.env }: ClientInfoOptions = {}): NetworkServiceElement {
  const info = clientLabels(env);
  return {
    name: "client-info",
    request(ctx, request, next) {
      const { labels } = connectionOf(request);
      return next.request(ctx, patchConnection(request, { labels: { ...info, ...labels } }));
    },
  };
}
