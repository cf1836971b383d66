import {
  debugState,
  type DebugState,
  type Elements,
  type EndpointRegistry,
  type NetworkServiceRegistry,
} from "../../core/index.js";

/** The elements of both chains of a registry. */
export interface RegistryChains {
  readonly networkServices: Elements<NetworkServiceRegistry>;
  readonly endpoints: Elements<EndpointRegistry>;
}

/** The resources that the elements of both chains hold, or `{}` if there are none. */
export function heldBy({ networkServices, endpoints }: RegistryChains): DebugState {
  const states = { networkServices: debugState(networkServices), endpoints: debugState(endpoints) };
  return Object.fromEntries(Object.entries(states).filter(([, state]) => Object.keys(state).length > 0));
}
