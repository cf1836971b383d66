import { connectionOf, MechanismType, Parameter, type Mechanism } from "../../../api/index.js";
import { Code, NsmError, peer, type NetworkServiceElement } from "../../../core/index.js";

/**
 * Rejects a KERNEL mechanism that names a network namespace by path if the caller is on another machine. To the
 * next forwarder, the path would look like a local one. Server side, in an nsmgr.
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
      // An unknown caller may be on any machine.
      if (named && !caller?.local) {
        throw new NsmError(
          Code.PermissionDenied,
          `${caller?.address ?? "an unknown caller"} may not name the network namespace ${named.parameters[Parameter.inodeUrl]}: connect from this machine, over a unix socket or loopback`,
        );
      }
      return next.request(ctx, request);
    },
  };
}

function namesPath({ type, parameters }: Mechanism): boolean {
  return type === MechanismType.Kernel && (parameters[Parameter.inodeUrl] ?? "").startsWith("file:");
}
