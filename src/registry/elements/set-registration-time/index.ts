/**
 * Records the time of an endpoint's first registration: the caller's value, or now. Every refresh keeps this
 * time, whatever value it has. After an Unregister, the next Register records a new time.
 *
 * Endpoint registry, server side. After begin and registration-state.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { registrationState } from "nsm-sdk/registry/elements/registration-state";
 * import { setRegistrationTime } from "nsm-sdk/registry/elements/set-registration-time";
 * import { updatePath } from "nsm-sdk/registry/elements/update-path";
 * import { memoryEndpoints } from "nsm-sdk/registry/stores/memory";
 *
 * endpointRegistryChain([
 *   updatePath({ tokens }),
 *   begin(),
 *   registrationState(),
 *   setRegistrationTime(),
 *   memoryEndpoints(),
 * ]);
 *
 * @packageDocumentation
 */
import { toTimestamp, type Timestamp } from "../../../api/index.js";
import { Slot, type ChainElement, type EndpointRegistry } from "../../../core/index.js";

/** Creates the element. See the module description. */
export function setRegistrationTime(): ChainElement<EndpointRegistry> {
  const first = new Slot<Timestamp>("set-registration-time");
  return {
    name: "set-registration-time",
    inside: ["registration-state"],
    provides: [first],
    async register(ctx, endpoint, next) {
      const time = first.get(ctx) ?? endpoint.initialRegistrationTime ?? toTimestamp(ctx.clock.now());
      first.set(ctx, time);
      return next.register(ctx, { ...endpoint, initialRegistrationTime: time });
    },
  };
}
