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
import { recvFdServer } from "../../registry/elements/recv-fd/index.js";
import { registerLog, registrationLog } from "../../registry/elements/registration-log/index.js";
import { setPayload } from "../../registry/elements/set-payload/index.js";
import { updatePath } from "../../registry/elements/update-path/index.js";
import { endpointKind, networkServiceKind } from "../../registry/kinds.js";
import { memoryEndpoints, memoryNetworkServices } from "../../registry/stores/memory/index.js";
import { assertNames } from "../places.js";
import { heldBy } from "./held.js";
import type { RegistryServices } from "./registry.js";

/** Places for your own elements in the registry of a manager. */
export interface NsmgrRegistryPlaces {
  /** Before the domain's registry or the manager's own stores. */
  readonly networkServices?: Elements<NetworkServiceRegistry> | undefined;
  /** The same for endpoints. Sees the calls of the processes of the node, not the manager's own Finds. */
  readonly endpoints?: Elements<EndpointRegistry> | undefined;
}

/** Elements of the registry of a manager that can be replaced. */
export interface NsmgrRegistryReplacements {
  /** Sets the payload of a network service that names none. Stands only in a manager without `registryUrl`. */
  readonly "set-payload"?: Elements<NetworkServiceRegistry> | undefined;
  /** Adds labels for the node that the endpoint runs on. */
  readonly "client-info"?: Elements<EndpointRegistry> | undefined;
  /** Unregisters endpoints that are not renewed. */
  readonly expire?: Elements<EndpointRegistry> | undefined;
  /** Registers the endpoints of the node under the manager's URL. Stands in `discovery`, too. */
  readonly "local-bypass"?: Elements<EndpointRegistry> | undefined;
}

/** Options of nsmgrRegistry(). */
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
  /** Your own elements, by place. */
  readonly elements?: NsmgrRegistryPlaces | undefined;
  /** Your own elements in place of built-in ones. */
  readonly replace?: NsmgrRegistryReplacements | undefined;
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
 * @throws NsmError INVALID_ARGUMENT for a place or a replacement that there is not, or a `registryUrl` without
 * `remotes`
 *
 * @example
 * import { nsmgrRegistry } from "nsm-sdk/chains/registry";
 * import { discoverForwarder } from "nsm-sdk/elements/discover-forwarder";
 *
 * const registries = nsmgrRegistry({ url, registryUrl: "tcp://10.0.0.9:5002", remotes, tokens, until });
 * discoverForwarder({ ...registries.discovery, service: "forwarder", url });
 */
export function nsmgrRegistry(options: NsmgrRegistryOptions): NsmgrRegistry {
  const { url, tokens, until, env, elements: own = {}, replace = {}, trace } = options;
  const chainName = "a manager's registry";
  assertNames(chainName, "place", Object.keys(own), ["networkServices", "endpoints"]);
  const replaceable = ["set-payload", "client-info", "expire", "local-bypass"];
  assertNames(chainName, "element to replace", Object.keys(replace), replaceable);
  const upstream = upstreamOf(options);
  const ownEndpoints: Elements<EndpointRegistry> = [
    replace["local-bypass"] ?? localBypass({ url }),
    upstream.endpoints,
  ];
  const networkServices: Elements<NetworkServiceRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    own.networkServices ?? [],
    upstream.networkServices,
  ];
  const endpoints: Elements<EndpointRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    registrationState(),
    registrationLog(),
    replace["client-info"] ?? clientInfo({ env }),
    replace.expire ?? expire({ defaultMs: options.defaultExpirationMs, until }),
    recvFdServer({ until }),
    own.endpoints ?? [],
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
function upstreamOf({ registryUrl, remotes, until, replace }: NsmgrRegistryOptions): {
  readonly networkServices: Elements<NetworkServiceRegistry>;
  readonly endpoints: Elements<EndpointRegistry>;
} {
  if (registryUrl === undefined) {
    const payload = replace?.["set-payload"] ?? setPayload();
    return { networkServices: [payload, memoryNetworkServices()], endpoints: [memoryEndpoints()] };
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
