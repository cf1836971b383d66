/**
 * The registry client of endpoints, forwarders and clients, usually connected to the manager of their node. It
 * renews and retries registrations, registers again when the registry has lost an entry, and reopens broken
 * watches.
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

/** Options of registryClient(). */
export interface RegistryClientOptions {
  readonly remotes: Remotes;
  /** URL of the registry, or of the manager in front of it. */
  readonly url: string;
  /** The lifetime of the program. Ends renewals, watches and retries. */
  readonly until: AbortSignal;
  readonly retry?: RetryOptions | undefined;
  /** Additional elements at the end of the chains, such as client-info. Default: none. */
  readonly elements?:
    | {
        readonly networkServices?: Elements<NetworkServiceRegistry> | undefined;
        readonly endpoints?: Elements<EndpointRegistry> | undefined;
      }
    | undefined;
  /** Randomizes the delays between retries. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  readonly trace?: TraceHook | undefined;
}

/** Both registries, as the client uses them. */
export interface RegistryClient {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  debugState(): DebugState;
}

/** Creates a registry client. See the module description. */
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
