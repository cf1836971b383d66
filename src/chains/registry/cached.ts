import {
  endpointRegistryChain,
  networkServiceRegistryChain,
  type Elements,
  type EndpointRegistry,
  type NetworkServiceRegistry,
  type TraceHook,
} from "../../core/index.js";
import { cache } from "../../registry/elements/cache/index.js";
import { recvFdClient } from "../../registry/elements/recv-fd/index.js";
import { endpointKind, networkServiceKind } from "../../registry/kinds.js";
import { heldBy } from "./held.js";
import type { RegistryServices } from "./registry.js";

/** Options of cachedRegistry(). */
export interface CachedRegistryOptions {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  /** The lifetime of the program. Ends all watches. */
  readonly until: AbortSignal;
  readonly trace?: TraceHook | undefined;
}

/**
 * Registries with a cache, for a process that looks up entries on every Request, such as a forwarder.
 *
 * @example
 * import { forwarder } from "nsm-sdk/chains/forwarder";
 * import { cachedRegistry } from "nsm-sdk/chains/registry";
 *
 * const registries = cachedRegistry({ ...remotes.to(connectTo), until });
 * forwarder({ name, tokens, ...registries, remotes, until });
 */
export function cachedRegistry(options: CachedRegistryOptions): RegistryServices {
  const { until, trace } = options;
  const networkServices: Elements<NetworkServiceRegistry> = [cache({ kind: networkServiceKind, until })];
  const endpoints: Elements<EndpointRegistry> = [
    cache({ kind: endpointKind, until }),
    recvFdClient({ until }),
  ];
  return {
    networkServices: networkServiceRegistryChain(networkServices, { tail: options.networkServices, trace }),
    endpoints: endpointRegistryChain(endpoints, { tail: options.endpoints, trace }),
    debugState: () => heldBy({ networkServices, endpoints }),
  };
}
