/**
 * Labels a connection with where its client runs: `nodeName`, `podName` and `clusterName` from the environment
 * variables NODE_NAME, POD_NAME and CLUSTER_NAME. What is labelled already stays; a variable that is not set or
 * empty gives no label. Selectors of a network service may then say `{{.nodeName}}`.
 *
 * Both sides, one element; anywhere before discover() and discoverForwarder().
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

/** Where the labels come from. */
export interface ClientInfoOptions {
  /** Default: `process.env`. */
  readonly env?: Environment | undefined;
}

/** See the module's description. */
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
