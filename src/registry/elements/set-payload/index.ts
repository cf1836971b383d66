/**
 * Sets the default payload for network services without one. A payload set by the caller is kept.
 *
 * Network service registry, server side. Anywhere before the store.
 *
 * @example
 * import { networkServiceRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { setPayload } from "nsm-sdk/registry/elements/set-payload";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryNetworkServices } from "nsm-sdk/registry/stores/memory";
 *
 * networkServiceRegistryChain([updatePath({ tokens }), begin(), setPayload(), memoryNetworkServices()]);
 *
 * @packageDocumentation
 */
import { Payload } from "../../../api/index.js";
import type { ChainElement, NetworkServiceRegistry } from "../../../core/index.js";

/** Options of setPayload(). */
export interface SetPayloadOptions {
  /** Payload of services without one. Default: `IP`, as in Go registries. */
  readonly payload?: string | undefined;
}

/** Creates the element. See the module description. */
export function setPayload({
  payload = Payload.Ip,
}: SetPayloadOptions = {}): ChainElement<NetworkServiceRegistry> {
  return {
    name: "set-payload",
    register: (ctx, service, next) =>
      next.register(ctx, service.payload === "" ? { ...service, payload } : service),
  };
}
