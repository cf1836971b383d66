import {
  debugState,
  type DebugState,
  type Elements,
  type EndpointRegistry,
  type NetworkServiceRegistry,
} from "../../core/index.js";

/** Both chains of a registry under assembly. */
export interface RegistryChains {
  readonly networkServices: Elements<NetworkServiceRegistry>;
  readonly endpoints: Elements<EndpointRegistry>;
}

/** What the elements of both chains hold; `{}` when that is nothing. */
export function heldBy({ networkServices, endpoints }: RegistryChains): DebugState {
  const states = { networkServices: debugState(networkServices), endpoints: debugState(endpoints) };
  return Object.fromEntries(Object.entries(states).filter(([, state]) => Object.keys(state).length > 0));
}
