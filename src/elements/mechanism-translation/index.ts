/**
 * Keeps the mechanisms of the two sides of a process separate. The mechanism of the caller stays with the
 * caller. The request to the next hop has the mechanism that it accepted last time, and at first the mechanisms
 * that later elements offer.
 *
 * Client side, in a forwarder or a pass-through endpoint; before the elements that offer mechanisms. Sets the
 * slot `endpointMechanism`.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 * import { mechanismTranslation } from "nsm-sdk/elements/mechanism-translation";
 * import { offerMechanism } from "nsm-sdk/elements/mechanisms/offer";
 *
 * chain([
 *   ...elements,
 *   dial({ remotes }),
 *   mechanismTranslation(),
 *   offerMechanism({ cls: "LOCAL", type: "KERNEL" }),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import { connectionOf, type Mechanism } from "../../api/index.js";
import { Slot, type NetworkServiceElement } from "../../core/index.js";

/**
 * The mechanism that the next hop accepted. mechanismTranslation() sets it for the element that connects the
 * two sides.
 */
export const endpointMechanism = new Slot<Mechanism>("endpoint-mechanism");

/** Creates the element. See the module description. */
export function mechanismTranslation(): NetworkServiceElement {
  return {
    name: "mechanism-translation",
    inside: ["connection-state"],
    outside: ["mechanisms/client", "mechanisms/offer"],
    provides: [endpointMechanism],

    async request(ctx, request, next) {
      const connection = connectionOf(request);
      const response = await next.request(ctx, {
        ...request,
        mechanismPreferences: [],
        connection: { ...connection, mechanism: endpointMechanism.get(ctx) },
      });
      if (response.mechanism) endpointMechanism.set(ctx, response.mechanism);
      return { ...response, mechanism: connection.mechanism };
    },

    close: (ctx, connection, next) =>
      next.close(ctx, { ...connection, mechanism: endpointMechanism.get(ctx) }),
  };
}
