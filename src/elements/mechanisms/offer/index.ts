/**
 * Offers a mechanism to the next hop, after the mechanisms that are already offered. An offered mechanism of
 * the same type and class stays unchanged.
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

/** The mechanism to offer. */
export type OfferMechanismOptions = Pick<Mechanism, "cls" | "type"> & Partial<Pick<Mechanism, "parameters">>;

/** Creates the element. See the module description. */
export function offerMechanism(mechanism: OfferMechanismOptions): NetworkServiceElement {
  return {
    name: "mechanisms/offer",
    request: (ctx, request, next) => next.request(ctx, withOffer(request, mechanism)),
  };
}

/** Adds the mechanism to the preferences of the request. */
export function withOffer(
  request: NetworkServiceRequest,
  { cls, type, parameters = {} }: OfferMechanismOptions,
): NetworkServiceRequest {
  const { mechanismPreferences } = request;
  if (mechanismPreferences.some((known) => known.type === type && known.cls === cls)) return request;
  const offer = Mechanism.create({ cls, type, parameters });
  return { ...request, mechanismPreferences: [...mechanismPreferences, offer] };
}
