/**
 * The forwarder of a node: finds the endpoint, requests the connection from it and joins the two sides. `mechanisms`
 * joins them. Default: it negotiates the kernel mechanism and joins nothing.
 *
 * @example
 * import { serveEndpoint } from "nsm-sdk";
 * import { forwarder } from "nsm-sdk/chains/forwarder";
 *
 * const { tokens } = identity;
 * await serveEndpoint({
 *   name,
 *   services: ["forwarder"],
 *   labels: { p2p: "true" },
 *   registerServices: false,
 *   connectTo,
 *   listenOn: ["unix:///run/nsm/forwarder.sock"],
 *   identity,
 *   chain: forwarder({ name, tokens, ...remotes.to(connectTo), remotes, until }),
 * });
 *
 * @packageDocumentation
 */
import {
  endpointRegistryChain,
  type Elements,
  type EndpointRegistry,
  type MonitorConnection,
  type Remotes,
  type NetworkService,
  type NetworkServiceRegistry,
  type TraceHook,
} from "../../core/index.js";
import { connectServer } from "../../elements/connect/index.js";
import { discover } from "../../elements/discover/index.js";
import { mechanismTranslation } from "../../elements/mechanism-translation/index.js";
import { roundRobin } from "../../elements/round-robin/index.js";
import { recvFdClient } from "../../registry/elements/recv-fd/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { client } from "../client/index.js";
import { endpoint, type Endpoint } from "../endpoint/index.js";
import { assertNames, replaced } from "../places.js";
import { controlPlaneMechanisms, type ForwarderMechanisms } from "./mechanisms.js";

export { controlPlaneMechanisms, type ForwarderMechanisms } from "./mechanisms.js";
export { kernelMechanisms, type KernelMechanisms } from "./kernel.js";

/** Places for your own elements in a forwarder. */
export interface ForwarderPlaces {
  /** Before the endpoint is looked up. Sees every Request and Close once. */
  readonly beforeDiscovery?: Elements<NetworkService> | undefined;
  /** Between the client's mechanism and the call to the endpoint. Runs once for each endpoint that is tried. */
  readonly beforeConnect?: Elements<NetworkService> | undefined;
}

/** Elements of a forwarder that can be replaced. */
export interface ForwarderReplacements {
  /** Sets `candidates`, or `remoteUrl` for a connection that names its endpoint. */
  readonly discover?: Elements<NetworkService> | undefined;
  /** Reads `candidates` and sets `remoteUrl` for each endpoint that it tries. */
  readonly "round-robin"?: Elements<NetworkService> | undefined;
  /** Separates the mechanisms of the two sides. Stands in the chain towards the endpoint. */
  readonly "mechanism-translation"?: Elements<NetworkService> | undefined;
}

/** Options of forwarder(). */
export interface ForwarderOptions {
  /** Name of this process in the path. */
  readonly name: string;
  readonly tokens: TokenGenerator;
  /** The registry of network services to look up. Usually the manager's. */
  readonly networkServices: NetworkServiceRegistry;
  /** The registry of endpoints to look up. Usually the manager's. */
  readonly endpoints: EndpointRegistry;
  readonly remotes: Remotes;
  /** The lifetime of the program. Ends the monitoring of next hops. */
  readonly until: AbortSignal;
  /** The mechanisms that it negotiates and the elements that create them. Default: {@link controlPlaneMechanisms}. */
  readonly mechanisms?: ForwarderMechanisms | undefined;
  /** Your own elements, by place. */
  readonly elements?: ForwarderPlaces | undefined;
  /** Your own elements in place of built-in ones. */
  readonly replace?: ForwarderReplacements | undefined;
  /** Elements before the monitor, for authorization and counting. Default: none. */
  readonly monitorElements?: Elements<MonitorConnection> | undefined;
  readonly trace?: TraceHook | undefined;
}

/**
 * Creates the chain of a forwarder. See the module description.
 *
 * @throws NsmError INVALID_ARGUMENT for an unknown place or replacement
 */
export function forwarder(options: ForwarderOptions): Endpoint {
  const { name, tokens, networkServices, endpoints, remotes, until, monitorElements, trace } = options;
  const { mechanisms = controlPlaneMechanisms(), elements: own = {} } = options;
  assertNames("a forwarder", "place", Object.keys(own), ["beforeDiscovery", "beforeConnect"]);
  // Without a cache, this finds the sockets that the manager passes as descriptors.
  const dialable = endpointRegistryChain([recvFdClient({ until })], { tail: endpoints, trace });
  const builtIn = replaced(
    "a forwarder",
    {
      discover: () => [discover({ networkServices, endpoints: dialable })],
      "round-robin": () => [roundRobin()],
      "mechanism-translation": () => [mechanismTranslation()],
    },
    options.replace,
  );
  const endpointClient = client({
    name,
    remotes,
    until,
    refresh: false,
    heal: false,
    elements: [builtIn["mechanism-translation"], mechanisms.client],
    trace,
  });
  return endpoint({
    name,
    tokens,
    until,
    monitorElements,
    trace,
    elements: [
      own.beforeDiscovery ?? [],
      builtIn.discover,
      builtIn["round-robin"],
      mechanisms.server,
      own.beforeConnect ?? [],
      connectServer(endpointClient.networkService, endpointClient),
    ],
  });
}
