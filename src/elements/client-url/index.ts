/**
 * Sets the next hop of Requests and Closes. One element for both sides; before dial().
 *
 * Sets `remoteUrl` in the Context and replaces an earlier value. Without a URL it removes the value, so that
 * discover() selects the endpoint.
 *
 * @example
 * import { chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { clientUrl } from "nsm-sdk/elements/client-url";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 *
 * chain([
 *   updatePath({ name: "nsc" }),
 *   beginClient(),
 *   connectionState(),
 *   clientUrl("tcp://10.0.0.1:5001"),
 *   dial({ remotes }),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import { remoteUrl, type NetworkServiceElement } from "../../core/index.js";

/** Creates the element. See the module description. The URL is not checked until it is dialed. */
export function clientUrl(url: string | undefined): NetworkServiceElement {
  return {
    name: "client-url",
    outside: ["dial"],
    provides: [remoteUrl],
    request: (ctx, request, next) => next.request(ctx.with(remoteUrl, url), request),
    close: (ctx, connection, next) => next.close(ctx.with(remoteUrl, url), connection),
  };
}
