/**
 * Gives network services without a payload the default one. What the caller set is kept.
 *
 * Registry of network services, server side. Anywhere before the store.
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

/** The payload of services that name none. */
export interface SetPayloadOptions {
  /** Default: `IP`, as in Go registries. */
  readonly payload?: string | undefined;
}

/** See the module's description. */
export function setPayload({
  payload = Payload.Ip,
}: SetPayloadOptions = {}): ChainElement<NetworkServiceRegistry> {
  return {
    name: "set-payload",
    register: (ctx, service, next) =>
      next.register(ctx, service.payload === "" ? { ...service, payload } : service),
  };
}
