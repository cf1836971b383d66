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
  NetworkServiceRegistry,
  TraceHook,
} from "../../core/index.js";
import { clientInfo } from "../../elements/client-info/index.js";
import { connectServer } from "../../elements/connect/index.js";
import { discoverForwarder } from "../../elements/discover-forwarder/index.js";
import { excludedPrefixesServer } from "../../elements/excluded-prefixes/index.js";
import { localNamespaces } from "../../elements/mechanisms/kernel/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { client } from "../client/index.js";
import { endpoint, type Endpoint } from "../endpoint/index.js";
import { nsmgrRegistryChain } from "../registry/index.js";

/** Options of nsmgr(). */
export interface NsmgrOptions {
  readonly name: string;
  /** Public URL of the manager. It registers the endpoints of its node under this URL. */
  readonly url: string;
  /** URL of the domain's registry. Default: the manager keeps its own registry. */
  readonly registryUrl?: string | undefined;
  readonly remotes: Remotes;
  readonly tokens: TokenGenerator;
  readonly until: AbortSignal;
  /** Network service that forwarders register. Default: `forwarder`. */
  readonly forwarderService?: string | undefined;
  /** Path of a YAML file of prefixes that endpoints must not allocate from. Default: none. */
  readonly excludedPrefixesFile?: string | undefined;
  /** Elements before its monitor, for authorization and counting. Default: none. */
  readonly monitorElements?: Elements<MonitorConnection> | undefined;
  readonly trace?: TraceHook | undefined;
}

/** The services of a manager, ready for a server. */
export interface Nsmgr extends Endpoint {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/** Creates a manager. See the module description. */
export function nsmgr(options: NsmgrOptions): Nsmgr {
  const { name, url, registryUrl, remotes, tokens, until, forwarderService = "forwarder", trace } = options;
  const registries = nsmgrRegistryChain({ url, registryUrl, remotes, tokens, until, trace });
  const onward = client({ name, remotes, until, refresh: false, heal: false, trace });
  const manager = endpoint({
    name,
    tokens,
    until,
    trace,
    monitorElements: options.monitorElements,
    elements: [
      localNamespaces(),
      clientInfo(),
      discoverForwarder({ ...registries.discovery, service: forwarderService, url }),
      options.excludedPrefixesFile ? excludedPrefixesServer({ file: options.excludedPrefixesFile }) : [],
      connectServer(onward.networkService, onward),
    ],
  });
  return {
    ...manager,
    networkServices: registries.networkServices,
    endpoints: registries.endpoints,
    debugState: (): DebugState => ({ ...manager.debugState(), ...registries.debugState() }),
  };
}
