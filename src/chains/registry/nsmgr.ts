import {
  Code,
  endpointRegistryChain,
  networkServiceRegistryChain,
  NsmError,
  type Elements,
  type EndpointRegistry,
  type Remotes,
  type NetworkServiceRegistry,
  type TraceHook,
} from "../../core/index.js";
import { registrationState } from "../../registry/elements/registration-state/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { begin } from "../../registry/elements/begin/index.js";
import { cache } from "../../registry/elements/cache/index.js";
import { clientInfo } from "../../registry/elements/client-info/index.js";
import { dialEndpoints, dialNetworkServices } from "../../registry/elements/dial/index.js";
import { expire } from "../../registry/elements/expire/index.js";
import { localBypass } from "../../registry/elements/local-bypass/index.js";
import { registerLog, registrationLog } from "../../registry/elements/registration-log/index.js";
import { setPayload } from "../../registry/elements/set-payload/index.js";
import { updatePath } from "../../registry/elements/update-path/index.js";
import { endpointKind, networkServiceKind } from "../../registry/kinds.js";
import { memoryEndpoints, memoryNetworkServices } from "../../registry/stores/memory/index.js";
import { heldBy } from "./held.js";
import type { RegistryServices } from "./registry.js";

/** Options of nsmgrRegistryChain(). */
export interface NsmgrRegistryOptions {
  /** Public URL of the manager. Its endpoints are registered under this URL. */
  readonly url: string;
  readonly tokens: TokenGenerator;
  /**
   * URL of the domain's registry, called through `remotes`. Default: the manager keeps its own registry in
   * memory.
   */
  readonly registryUrl?: string | undefined;
  readonly remotes?: Remotes | undefined;
  /** The lifetime of the program. Ends expiry and watches. */
  readonly until: AbortSignal;
  /** Maximum lifetime of a registration, in milliseconds. Default: 60,000. */
  readonly defaultExpirationMs?: number | undefined;
  /** Environment variables for the location labels of endpoints. Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly trace?: TraceHook | undefined;
}

/** The registries of a manager, for its node and for its own lookups. */
export interface NsmgrRegistry extends RegistryServices {
  /** The registries for the manager's own Finds. */
  readonly discovery: {
    readonly networkServices: NetworkServiceRegistry;
    readonly endpoints: EndpointRegistry;
  };
}

/**
 * Creates the registry of a manager.
 *
 * @example
 * import { nsmgrRegistry } from "nsm-sdk/chains/registry";
 * import { discoverForwarder } from "nsm-sdk/elements/discover-forwarder";
 *
 * const registries = nsmgrRegistry({ url, registryUrl: "tcp://10.0.0.9:5002", remotes, tokens, until });
 * discoverForwarder({ ...registries.discovery, service: "forwarder", url });
 */
export function nsmgrRegistry(options: NsmgrRegistryOptions): NsmgrRegistry {
  const { url, tokens, until, env, trace } = options;
  const upstream = upstreamOf(options);
  const ownEndpoints: Elements<EndpointRegistry> = [localBypass({ url }), upstream.endpoints];
  const networkServices: Elements<NetworkServiceRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    upstream.networkServices,
  ];
  const endpoints: Elements<EndpointRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    registrationState(),
    registrationLog(),
    clientInfo({ env }),
    expire({ defaultMs: options.defaultExpirationMs, until }),
    ownEndpoints,
  ];
  return {
    networkServices: networkServiceRegistryChain(networkServices, { trace }),
    endpoints: endpointRegistryChain(endpoints, { trace }),
    discovery: {
      networkServices: networkServiceRegistryChain([upstream.networkServices], { trace }),
      endpoints: endpointRegistryChain(ownEndpoints, { trace }),
    },
    debugState: () => heldBy({ networkServices, endpoints }),
  };
}

/** The last elements of both chains: the domain's registry, or stores in this process. */
function upstreamOf({ registryUrl, remotes, until }: NsmgrRegistryOptions): {
  readonly networkServices: Elements<NetworkServiceRegistry>;
  readonly endpoints: Elements<EndpointRegistry>;
} {
  if (registryUrl === undefined) {
    return { networkServices: [setPayload(), memoryNetworkServices()], endpoints: [memoryEndpoints()] };
  }
  if (!remotes) {
    throw new NsmError(
      Code.InvalidArgument,
      `registryUrl is ${registryUrl}, but remotes is missing: pass both or neither`,
    );
  }
  const upstream = { remotes, url: registryUrl };
  return {
    networkServices: [cache({ kind: networkServiceKind, until }), dialNetworkServices(upstream)],
    endpoints: [cache({ kind: endpointKind, until }), dialEndpoints(upstream)],
  };
}
