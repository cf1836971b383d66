/**
 * Provides the slots of each registration, by name, and releases their values when it is unregistered or its
 * first Register fails. For both registries.
 *
 * After begin, before every element that keeps state.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { expire } from "nsm-sdk/registry/elements/expire";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 *
 * endpointRegistryChain([updatePath({ tokens }), begin(), registrationState(), expire()]);
 *
 * @packageDocumentation
 */
import { type RegistryElement, type RegistryEntry } from "../../../core/index.js";
import { StateStore } from "../../../core/state-store.js";

/** Keeps the slots of registrations by name. See the module description. */
export function registrationState<E extends RegistryEntry, Q, F>(): RegistryElement<E, Q, F> {
  const store = new StateStore();
  return {
    name: "registration-state",
    debugState: () => ({ registrations: store.size }),
    register: (ctx, entry, next) => store.keep(ctx, entry.name, (c) => next.register(c, entry)),
    unregister: (ctx, entry, next) => store.drop(ctx, entry.name, (c) => next.unregister(c, entry)),
  } as RegistryElement<E, Q, F>;
}
