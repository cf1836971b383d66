import {
  endpointRegistryChain,
  networkServiceRegistryChain,
  type DebugState,
  type Elements,
  type EndpointRegistry,
  type NetworkServiceRegistry,
  type TraceHook,
} from "../../core/index.js";
import { registrationState } from "../../registry/elements/registration-state/index.js";
import type { TokenGenerator } from "../../identity/index.js";
import { begin } from "../../registry/elements/begin/index.js";
import { expire } from "../../registry/elements/expire/index.js";
import { limits, type Limits } from "../../registry/elements/limits/index.js";
import { registerLog, registrationLog } from "../../registry/elements/registration-log/index.js";
import { setPayload } from "../../registry/elements/set-payload/index.js";
import { setRegistrationTime } from "../../registry/elements/set-registration-time/index.js";
import { updatePath } from "../../registry/elements/update-path/index.js";
import { endpointKind, networkServiceKind } from "../../registry/kinds.js";
import { memoryEndpoints, memoryNetworkServices } from "../../registry/stores/memory/index.js";
import { heldBy, type RegistryChains } from "./held.js";

/** The elements that store the entries of a registry. */
export type RegistryStores = RegistryChains;

/** Options of registryChain(). */
export interface RegistryOptions {
  readonly tokens: TokenGenerator;
  /** The lifetime of the program. Ends the expiry of registrations. */
  readonly until?: AbortSignal | undefined;
  /**
   * Maximum lifetime of an endpoint's registration, in milliseconds. Network services do not expire. Default:
   * 60,000.
   */
  readonly defaultExpirationMs?: number | undefined;
  /** Limits per identity and for the registry. Default: no limits. */
  readonly limits?: Limits | undefined;
  /** The stores for the entries. Default: in memory. */
  readonly stores?: RegistryStores | undefined;
  readonly trace?: TraceHook | undefined;
}

/** The services of a registry, ready for a server. */
export interface RegistryServices {
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
  debugState(): DebugState;
}

/**
 * Creates the registry of a domain.
 *
 * @example
 * import { registryChain } from "nsm-sdk/chains/registry";
 * import { grpcServer } from "nsm-sdk/inbound";
 *
 * const registry = registryChain({ tokens: identity.tokens, until });
 * await grpcServer({ identity, listenOn: ["tcp://10.0.0.9:5002"], services: registry });
 */
export function registryChain(options: RegistryOptions): RegistryServices {
  const { tokens, until, trace } = options;
  const stores = options.stores ?? {
    networkServices: [memoryNetworkServices()],
    endpoints: [memoryEndpoints()],
  };
  const networkServices: Elements<NetworkServiceRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    registrationState(),
    limits({ kind: networkServiceKind, ...options.limits }),
    setPayload(),
    stores.networkServices,
  ];
  const endpoints: Elements<EndpointRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    registrationState(),
    registrationLog(),
    limits({ kind: endpointKind, ...options.limits }),
    setRegistrationTime(),
    expire({ defaultMs: options.defaultExpirationMs, until }),
    stores.endpoints,
  ];
  return {
    networkServices: networkServiceRegistryChain(networkServices, { trace }),
    endpoints: endpointRegistryChain(endpoints, { trace }),
    debugState: () => heldBy({ networkServices, endpoints }),
  };
}
