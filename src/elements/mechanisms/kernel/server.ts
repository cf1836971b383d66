import { connectionOf, MechanismType, patchConnection } from "../../../api/index.js";
import type { NetworkServiceElement } from "../../../core/index.js";
import { kernelParameters, type KernelParameters } from "./parameters.js";

/** Where the endpoint's interface goes. */
export interface KernelServerOptions extends Partial<KernelParameters> {
  /** Default: this process's own network namespace. */
  readonly inodeUrl?: string;
}

/**
 * Says where the endpoint's interface goes and what it is called, when the connection's mechanism is KERNEL.
 * Server side, in the endpoint that the interface is for; within mechanismsServer().
 *
 * @throws NsmError INVALID_ARGUMENT for an interface name that the kernel would refuse; so does a Request.
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
      return next.request(ctx, patchConnection(request, { mechanism: fill(mechanism, connection) }));
    },
  };
}
