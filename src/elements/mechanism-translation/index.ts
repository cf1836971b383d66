/**
 * Keeps the mechanisms of the two sides of a process apart: what the caller chose stays with the caller, and the
 * next hop is asked for what it accepted last time, at first for whatever the elements behind this one offer.
 *
 * Client side, in a forwarder or a pass-through endpoint; before the elements that offer mechanisms. Fills the slot
 * `endpointMechanism`.
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

/** What the next hop accepted: handed over by mechanismTranslation() to what joins the two sides. */
export const endpointMechanism = new Slot<Mechanism>("endpoint-mechanism");

/** See the module's description. */
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
