/**
 * What endpoints, forwarders and clients use to speak with a registry, mostly through the manager of their node:
 * registrations that are renewed, retried, and repeated when the other side has lost them; watches that last.
 *
 * @example
 * import { NetworkServiceEndpoint } from "nsm-sdk/api";
 * import { registryClient } from "nsm-sdk/chains/registry-client";
 *
 * const registry = registryClient({ remotes, url: "unix:///var/lib/networkservicemesh/nsm.io.sock", until });
 * await registry.endpoints.register(
 *   ctx,
 *   NetworkServiceEndpoint.create({ name, url, networkServiceNames: ["my-service"] }),
 * );
 *
 * @packageDocumentation
 */
import {
  endpointRegistryChain,
  networkServiceRegistryChain,
  type DebugState,
  type Elements,
  type EndpointRegistry,
  type Remotes,
  type NetworkServiceRegistry,
  type TraceHook,
} from "../../core/index.js";
import { registrationState } from "../../registry/elements/registration-state/index.js";
import { begin } from "../../registry/elements/begin/index.js";
import { dialEndpoints, dialNetworkServices } from "../../registry/elements/dial/index.js";
import { heal } from "../../registry/elements/heal/index.js";
import { refresh } from "../../registry/elements/refresh/index.js";
import { retry, type RetryOptions } from "../../registry/elements/retry/index.js";
import { endpointKind, networkServiceKind } from "../../registry/kinds.js";
import { heldBy } from "../registry/held.js";

/** What a registry client is made of. */
export interface RegistryClientOptions {
  readonly remotes: Remotes;
  /** The registry or the manager in front of it. */
  readonly url: string;
  /** The program's life: when it is over, nothing is renewed, watched or repeated any more. */
  readonly until: AbortSignal;
  readonly retry?: RetryOptions | undefined;
  /** Elements of one's own, right before the call leaves: client-info, for instance. */
  readonly elements?:
    | {
        readonly networkServices?: Elements<NetworkServiceRegistry> | undefined;
        readonly endpoints?: Elements<EndpointRegistry> | undefined;
      }
    | undefined;
  /** For the pauses between tries. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  readonly trace?: TraceHook | undefined;
}

/** Both registries as one sees them from here. */
export interface RegistryClient {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  debugState(): DebugState;
}

/** See the module's description. */
export function registryClient(options: RegistryClientOptions): RegistryClient {
  const { remotes, url, until, random, trace } = options;
  const networkServices: Elements<NetworkServiceRegistry> = [
    begin({ until }),
    registrationState(),
    retry({ random, ...options.retry }),
    heal({ kind: networkServiceKind, until, random }),
    options.elements?.networkServices ?? [],
    dialNetworkServices({ remotes, url }),
  ];
  const endpoints: Elements<EndpointRegistry> = [
    begin({ until }),
    registrationState(),
    retry({ random, ...options.retry }),
    heal({ kind: endpointKind, until, random }),
    refresh({ until, random }),
    options.elements?.endpoints ?? [],
    dialEndpoints({ remotes, url }),
  ];
  return {
    networkServices: networkServiceRegistryChain(networkServices, { trace }),
    endpoints: endpointRegistryChain(endpoints, { trace }),
    debugState: () => heldBy({ networkServices, endpoints }),
  };
}
