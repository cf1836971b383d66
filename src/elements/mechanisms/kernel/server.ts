import { connectionOf, MechanismType, patchConnection } from "../../../api/index.js";
import type { NetworkServiceElement } from "../../../core/index.js";
import { requestFiles } from "../../request-files/index.js";
import { kernelParameters, type KernelParameters } from "./parameters.js";

/** Options of kernelServer(). */
export interface KernelServerOptions extends Partial<Omit<KernelParameters, "inodeUrl">> {
  /** URL of the endpoint's network namespace. Default: the namespace of this process. */
  readonly inodeUrl?: string | undefined;
}

/**
 * Sets the network namespace and the name of the endpoint's interface if the connection's mechanism is KERNEL.
 * Server side, in the endpoint that the interface is for; within mechanismsServer().
 *
 * @throws NsmError INVALID_ARGUMENT for an interface name that the kernel rejects; a Request rejects such names
 * too.
 */
export function kernelServer({
  inodeUrl = `file:///proc/${process.pid}/ns/net`,
  interfaceName,
}: KernelServerOptions = {}): NetworkServiceElement {
  const fill = kernelParameters({ inodeUrl, interfaceName });

  return {
    name: "mechanisms/kernel/server",
    async request(ctx, request, next) {
      const connection = connectionOf(request);
      const { mechanism } = connection;
      if (mechanism?.type !== MechanismType.Kernel) return next.request(ctx, request);
      ctx.get(requestFiles)?.offer(inodeUrl);
      return next.request(ctx, patchConnection(request, { mechanism: fill(mechanism, connection) }));
    },
  };
}
