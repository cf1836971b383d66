import { connectionOf, MechanismClass, MechanismType } from "../../../api/index.js";
import type { Context, NetworkServiceElement } from "../../../core/index.js";
import { RequestFiles, requestFiles } from "../../request-files/index.js";
import { withOffer } from "../offer/index.js";
import { kernelParameters, type KernelParameters } from "./parameters.js";

/** Options of kernelClient(). */
export interface KernelClientOptions extends Partial<Omit<KernelParameters, "inodeUrl">> {
  /**
   * URL of the client's network namespace. A forwarder omits it, because it offers the mechanism for another
   * process.
   */
  readonly inodeUrl?: string | undefined;
}

/**
 * Offers the KERNEL mechanism to the next hop. Adds the namespace and the interface name to every KERNEL
 * preference. Client side; after mechanismTranslation() if there is one, before connectClient().
 *
 * @throws NsmError INVALID_ARGUMENT for an interface name that the kernel rejects; a Request rejects such names
 * too.
 */
export function kernelClient({ inodeUrl, interfaceName }: KernelClientOptions = {}): NetworkServiceElement {
  const fill = inodeUrl === undefined ? undefined : kernelParameters({ inodeUrl, interfaceName });

  const offeringFile = (ctx: Context): Context => {
    if (inodeUrl === undefined) return ctx;
    const files = ctx.get(requestFiles) ?? new RequestFiles();
    files.offer(inodeUrl);
    return ctx.with(requestFiles, files);
  };

  return {
    name: "mechanisms/kernel/client",
    async request(ctx, request, next) {
      const offering = withOffer(request, { cls: MechanismClass.Local, type: MechanismType.Kernel });
      if (!fill) return next.request(ctx, offering);
      const mechanismPreferences = offering.mechanismPreferences.map((mechanism) =>
        mechanism.type === MechanismType.Kernel ? fill(mechanism, connectionOf(request)) : mechanism,
      );
      return next.request(offeringFile(ctx), { ...offering, mechanismPreferences });
    },
    // A forwarder that has restarted finds the interface by the namespace.
    close: (ctx, connection, next) => next.close(offeringFile(ctx), connection),
  };
}
