import { connectionOf, MechanismType, Parameter, type Mechanism } from "../../../api/index.js";
import { Code, NsmError, peer, type NetworkServiceElement } from "../../../core/index.js";

/**
 * Refuses a KERNEL mechanism that names a network namespace by a path when the caller sits on another machine:
 * to the forwarder behind us it would look like one of this machine. Server side, in an nsmgr.
 *
 * @throws NsmError PERMISSION_DENIED
 */
export function localNamespaces(): NetworkServiceElement {
  return {
    name: "mechanisms/kernel/local-namespaces",
    async request(ctx, request, next) {
      const caller = ctx.get(peer);
      const { mechanism } = connectionOf(request);
      const named = [...request.mechanismPreferences, ...(mechanism ? [mechanism] : [])].find(namesPath);
      // Of whom nothing is known, he may be anywhere.
      if (named && !caller?.local) {
        throw new NsmError(
          Code.PermissionDenied,
          `${caller?.address ?? "somebody unknown"} names the network namespace ${named.parameters[Parameter.inodeUrl]}: only processes of this machine may, over a unix socket or loopback`,
        );
      }
      return next.request(ctx, request);
    },
  };
}

function namesPath({ type, parameters }: Mechanism): boolean {
  return type === MechanismType.Kernel && (parameters[Parameter.inodeUrl] ?? "").startsWith("file:");
}
