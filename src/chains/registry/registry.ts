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
import { assertNames } from "../places.js";
import { heldBy, type RegistryChains } from "./held.js";

/** The elements that store the entries of a registry. */
export type RegistryStores = RegistryChains;

/** Places for your own elements in a registry. */
export interface RegistryPlaces {
  readonly networkServices?: Elements<NetworkServiceRegistry> | undefined;
  readonly endpoints?: Elements<EndpointRegistry> | undefined;
}

/** Elements of a registry that can be replaced. */
export interface RegistryReplacements {
  /** Sets the payload of a network service that names none. */
  readonly "set-payload"?: Elements<NetworkServiceRegistry> | undefined;
  /** Records when an endpoint was registered first. */
  readonly "set-registration-time"?: Elements<EndpointRegistry> | undefined;
  /** Unregisters endpoints that are not renewed. */
  readonly expire?: Elements<EndpointRegistry> | undefined;
}

/** Options of registry(). */
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
  /** Your own elements, right before the stores. */
  readonly elements?: RegistryPlaces | undefined;
  /** Your own elements in place of built-in ones. */
  readonly replace?: RegistryReplacements | undefined;
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
 * import { registry } from "nsm-sdk/chains/registry";
 * import { grpcServer } from "nsm-sdk/inbound";
 *
 * const services = registry({ tokens: identity.tokens, until });
 * await grpcServer({ identity, listenOn: ["tcp://10.0.0.9:5002"], services });
 */
export function registry(options: RegistryOptions): RegistryServices {
  const { tokens, until, elements: own = {}, trace } = options;
  const stores = options.stores ?? {
    networkServices: [memoryNetworkServices()],
    endpoints: [memoryEndpoints()],
  };
  assertNames("a registry", "place", Object.keys(own), ["networkServices", "endpoints"]);
  const { replace = {} } = options;
  const replaceable = ["set-payload", "set-registration-time", "expire"];
  assertNames("a registry", "element to replace", Object.keys(replace), replaceable);
  const networkServices: Elements<NetworkServiceRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    registrationState(),
    limits({ kind: networkServiceKind, ...options.limits }),
    replace["set-payload"] ?? setPayload(),
    own.networkServices ?? [],
    stores.networkServices,
  ];
  const endpoints: Elements<EndpointRegistry> = [
    registerLog(),
    updatePath({ tokens }),
    begin({ until }),
    registrationState(),
    registrationLog(),
    limits({ kind: endpointKind, ...options.limits }),
    replace["set-registration-time"] ?? setRegistrationTime(),
    replace.expire ?? expire({ defaultMs: options.defaultExpirationMs, until }),
    own.endpoints ?? [],
    stores.endpoints,
  ];
  return {
    networkServices: networkServiceRegistryChain(networkServices, { trace }),
    endpoints: endpointRegistryChain(endpoints, { trace }),
    debugState: () => heldBy({ networkServices, endpoints }),
  };
}
