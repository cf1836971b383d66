/**
 * The forwarder of a node: finds the endpoint, asks it for the connection and joins the two sides. What joins
 * them is given as mechanisms. Default: it negotiates the kernel mechanism and joins nothing.
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

/** What a forwarder is made of. */
export interface ForwarderOptions {
  readonly name: string;
  /** Where services and endpoints are looked up: the manager's registries. */
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  readonly remotes: Remotes;
  readonly until: AbortSignal;
  /** Default: {@link controlPlaneMechanisms}. */
  readonly mechanisms?: ForwarderMechanisms | undefined;
  /** Sees the chain towards the endpoint; the elements themselves are seen by the chain they stand in. */
  readonly trace?: TraceHook | undefined;
}

/** What makes an endpoint a forwarder: the elements for endpoint() or serveEndpoint(). */
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
