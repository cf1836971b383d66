/**
 * The network service manager of a node: the registry of the processes on its node, and the hop that selects a
 * forwarder for every Request.
 *
 * @example
 * import { nsmgr } from "nsm-sdk/chains/nsmgr";
 * import { grpcServer } from "nsm-sdk/inbound";
 *
 * const manager = nsmgr({
 *   name: "nsmgr-1",
 *   url: "tcp://10.0.0.1:5001",
 *   registryUrl: "tcp://10.0.0.9:5002",
 *   remotes,
 *   tokens,
 *   until,
 * });
 * await grpcServer({ identity, listenOn: ["tcp://10.0.0.1:5001"], services: manager });
 *
 * @packageDocumentation
 */
import type {
  DebugState,
  Elements,
  EndpointRegistry,
  Remotes,
  MonitorConnection,
  NetworkService,
  NetworkServiceRegistry,
  TraceHook,
} from "../../core/index.js";
import { clientInfo } from "../../elements/client-info/index.js";
import { connectServer } from "../../elements/connect/index.js";
import { discoverForwarder, type ChooseForwarder } from "../../elements/discover-forwarder/index.js";
import { excludedPrefixesServer } from "../../elements/excluded-prefixes/index.js";
import { callersNamespace, recvFdServer } from "../../elements/recv-fd/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { client } from "../client/index.js";
import { endpoint, type Endpoint } from "../endpoint/index.js";
import { assertNames, replaced } from "../places.js";
import { nsmgrRegistry, type NsmgrRegistryOptions } from "../registry/index.js";

/** Places for your own elements in a manager. */
export interface NsmgrPlaces {
  /** Before the forwarder is looked up. Sees every Request and Close once. */
  readonly beforeDiscovery?: Elements<NetworkService> | undefined;
  /** Before the call to the forwarder. Runs once for each forwarder that is tried. */
  readonly beforeConnect?: Elements<NetworkService> | undefined;
}

/** Elements of a manager that can be replaced. */
export interface NsmgrReplacements {
  /** Adds labels for the node that the client runs on. */
  readonly "client-info"?: Elements<NetworkService> | undefined;
  /** Sets `remoteUrl` to the forwarder. To change only the order, use `chooseForwarder`. */
  readonly "discover-forwarder"?: Elements<NetworkService> | undefined;
  /** Adds prefixes that endpoints must not allocate. */
  readonly "excluded-prefixes"?: Elements<NetworkService> | undefined;
}

/** Options of nsmgr(). */
export interface NsmgrOptions {
  /** Name of this process in the path. */
  readonly name: string;
  /** Public URL of the manager. It registers the endpoints of its node under this URL. */
  readonly url: string;
  /** URL of the domain's registry. Default: the manager keeps its own registry. */
  readonly registryUrl?: string | undefined;
  readonly remotes: Remotes;
  readonly tokens: TokenGenerator;
  /** The lifetime of the program. Ends the monitoring of next hops, expiry and watches. */
  readonly until: AbortSignal;
  /** Network service that forwarders register. Default: `forwarder`. */
  readonly forwarderService?: string | undefined;
  /** Path of a YAML file of prefixes that endpoints must not allocate from. Default: none. */
  readonly excludedPrefixesFile?: string | undefined;
  /** Elements before the monitor, for authorization and counting. Default: none. */
  readonly monitorElements?: Elements<MonitorConnection> | undefined;
  /** Selects the forwarders to try, in order. Default: round-robin. */
  readonly chooseForwarder?: ChooseForwarder | undefined;
  /** Your own elements, by place. */
  readonly elements?: NsmgrPlaces | undefined;
  /** Your own elements in place of built-in ones. */
  readonly replace?: NsmgrReplacements | undefined;
  /** Your own elements in the manager's registry. */
  readonly registry?: Pick<NsmgrRegistryOptions, "elements" | "replace"> | undefined;
  readonly trace?: TraceHook | undefined;
}

/** The services of a manager, ready for a server. */
export interface Nsmgr extends Endpoint {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/**
 * Creates the chain and the registry of a manager. See the module description.
 *
 * @throws NsmError INVALID_ARGUMENT for an unknown place or replacement
 */
export function nsmgr(options: NsmgrOptions): Nsmgr {
  const { name, url, registryUrl, remotes, tokens, until, forwarderService = "forwarder", trace } = options;
  const { excludedPrefixesFile, elements: own = {} } = options;
  assertNames("a manager", "place", Object.keys(own), ["beforeDiscovery", "beforeConnect"]);
  const registries = nsmgrRegistry({ ...options.registry, url, registryUrl, remotes, tokens, until, trace });
  const builtIn = replaced(
    "a manager",
    {
      "client-info": () => [clientInfo()],
      "discover-forwarder": () => [
        discoverForwarder({
          ...registries.discovery,
          service: forwarderService,
          url,
          choose: options.chooseForwarder,
        }),
      ],
      "excluded-prefixes": () =>
        excludedPrefixesFile ? [excludedPrefixesServer({ file: excludedPrefixesFile })] : [],
    },
    options.replace,
  );
  const forwarderClient = client({ name, remotes, until, refresh: false, heal: false, trace });
  const manager = endpoint({
    name,
    tokens,
    until,
    trace,
    monitorElements: options.monitorElements,
    elements: [
      callersNamespace(),
      recvFdServer(),
      builtIn["client-info"],
      own.beforeDiscovery ?? [],
      builtIn["discover-forwarder"],
      builtIn["excluded-prefixes"],
      own.beforeConnect ?? [],
      connectServer(forwarderClient.networkService, forwarderClient),
    ],
  });
  return {
    ...manager,
    networkServices: registries.networkServices,
    endpoints: registries.endpoints,
    debugState: (): DebugState => ({ ...manager.debugState(), ...registries.debugState() }),
  };
}
