/**
 * Says where Requests and Closes go next. Both sides, one element; before dial().
 *
 * Sets `remoteUrl` in the Context, whatever it was; without a URL it hides an earlier one, so that discover()
 * looks for itself.
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

/** See the module's description. Whether the URL leads anywhere shows when it is dialled. */
export function clientUrl(url: string | undefined): NetworkServiceElement {
  return {
    name: "client-url",
    outside: ["dial"],
    provides: [remoteUrl],
    request: (ctx, request, next) => next.request(ctx.with(remoteUrl, url), request),
    close: (ctx, connection, next) => next.close(ctx.with(remoteUrl, url), connection),
  };
}
