/**
 * Offers a mechanism to the next hop, after those that are offered already. One of the same type and class stays
 * as it is.
 *
 * Client side; after mechanismTranslation(), before connectClient().
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { mechanismTranslation } from "nsm-sdk/elements/mechanism-translation";
 * import { offerMechanism } from "nsm-sdk/elements/mechanisms/offer";
 *
 * chain([
 *   ...elements,
 *   mechanismTranslation(),
 *   offerMechanism({ cls: "LOCAL", type: "KERNEL" }),
 *   connectClient(),
 * ]);
 *
 * @packageDocumentation
 */
import { Mechanism, type NetworkServiceRequest } from "../../../api/index.js";
import type { NetworkServiceElement } from "../../../core/index.js";

/** What is offered. */
export type OfferMechanismOptions = Pick<Mechanism, "cls" | "type"> & Partial<Pick<Mechanism, "parameters">>;

/** See the module's description. */
export function offerMechanism(mechanism: OfferMechanismOptions): NetworkServiceElement {
  return {
    name: "mechanisms/offer",
    request: (ctx, request, next) => next.request(ctx, withOffer(request, mechanism)),
  };
}

/** The request with the mechanism among its preferences. */
export function withOffer(
  request: NetworkServiceRequest,
  { cls, type, parameters = {} }: OfferMechanismOptions,
): NetworkServiceRequest {
  const { mechanismPreferences } = request;
  if (mechanismPreferences.some((known) => known.type === type && known.cls === cls)) return request;
  const offer = Mechanism.create({ cls, type, parameters });
  return { ...request, mechanismPreferences: [...mechanismPreferences, offer] };
}
