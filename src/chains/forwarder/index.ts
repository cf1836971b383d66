/**
 * The forwarder of a node: selects the endpoint, requests the connection from it, and connects the two sides.
 * The mechanisms decide how the sides are connected. Default: it negotiates the kernel mechanism and connects
 * nothing.
 *
 * @example
 * import { serveEndpoint } from "nsm-sdk";
 * import { forwarderElements } from "nsm-sdk/chains/forwarder";
 *
 * await serveEndpoint({
 *   name,
 *   services: ["forwarder"],
 *   labels: { p2p: "true" },
 *   registerServices: false,
 *   connectTo,
 *   listenOn: [url],
 *   identity,
 *   elements: forwarderElements({ name, ...remotes.to(connectTo), remotes, until }),
 * });
 *
 * @packageDocumentation
 */
import type {
  Elements,
  EndpointRegistry,
  Remotes,
  NetworkService,
  NetworkServiceRegistry,
  TraceHook,
} from "../../core/index.js";
import { connectServer } from "../../elements/connect/index.js";
import { discover } from "../../elements/discover/index.js";
import { mechanismTranslation } from "../../elements/mechanism-translation/index.js";
import { roundRobin } from "../../elements/round-robin/index.js";
import { client } from "../client/index.js";
import { controlPlaneMechanisms, type ForwarderMechanisms } from "./mechanisms.js";

export { controlPlaneMechanisms, type ForwarderMechanisms } from "./mechanisms.js";
export { kernelMechanisms, type KernelMechanisms } from "./kernel.js";

/** Options of forwarderElements(). */
export interface ForwarderOptions {
  readonly name: string;
  /** The registry for lookups of network services, usually the manager's. */
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  readonly remotes: Remotes;
  readonly until: AbortSignal;
  /** Default: {@link controlPlaneMechanisms}. */
  readonly mechanisms?: ForwarderMechanisms | undefined;
  /** Traces the chain to the endpoint. The chain that contains these elements traces the elements themselves. */
  readonly trace?: TraceHook | undefined;
}

/** Creates the elements that make an endpoint a forwarder, for endpoint() or serveEndpoint(). */
export function forwarderElements(options: ForwarderOptions): Elements<NetworkService> {
  const { name, networkServices, endpoints, remotes, until, trace } = options;
  const { mechanisms = controlPlaneMechanisms() } = options;
  const elements = [mechanismTranslation(), mechanisms.client];
  const onward = client({ name, remotes, until, refresh: false, heal: false, elements, trace });
  return [
    discover({ networkServices, endpoints }),
    roundRobin(),
    mechanisms.server,
    connectServer(onward.networkService, onward),
  ];
}
