import { connectionOf, MechanismClass, MechanismType } from "../../../api/index.js";
import type { NetworkServiceElement } from "../../../core/index.js";
import { withOffer } from "../offer/index.js";
import { kernelParameters, type KernelParameters } from "./parameters.js";

/** Where the client's interface goes. */
export interface KernelClientOptions extends Partial<KernelParameters> {
  /** Left out by a forwarder, which offers the mechanism without saying anything about the other end. */
  readonly inodeUrl?: string;
}

/**
 * Offers the KERNEL mechanism to the next hop, with namespace and interface name in every preference for it.
 * Client side; after mechanismTranslation() if there is one, before connectClient().
 *
 * @throws NsmError INVALID_ARGUMENT for an interface name that the kernel would refuse; so does a Request.
 */
export function kernelClient({ inodeUrl, interfaceName }: KernelClientOptions = {}): NetworkServiceElement {
  const fill = inodeUrl === undefined ? undefined : kernelParameters({ inodeUrl, interfaceName });

  return {
    name: "mechanisms/kernel/client",
    async request(ctx, request, next) {
      const offering = withOffer(request, { cls: MechanismClass.Local, type: MechanismType.Kernel });
      if (!fill) return next.request(ctx, offering);
      const mechanismPreferences = offering.mechanismPreferences.map((mechanism) =>
        mechanism.type === MechanismType.Kernel ? fill(mechanism, connectionOf(request)) : mechanism,
      );
      return next.request(ctx, { ...offering, mechanismPreferences });
    },
  };
}
