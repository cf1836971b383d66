import { MechanismClass, MechanismType } from "../../api/index.js";
import { crossConnect, type CrossConnectOptions } from "../../elements/cross-connect/index.js";
import { mechanismsServer } from "../../elements/mechanisms/index.js";
import { offerMechanism } from "../../elements/mechanisms/offer/index.js";
import { recvFdClient, recvFdServer } from "../../elements/recv-fd/index.js";
import type { ForwarderMechanisms } from "./mechanisms.js";

/** The mechanisms of a forwarder that creates vWires in the kernel. */
export interface KernelMechanisms extends ForwarderMechanisms {
  /** Removes all vWires. Call it when no other forwarder will take them over. */
  removeVWires(): Promise<void>;
}

/**
 * Negotiates KERNEL with the client and the endpoint, and joins their namespaces with a veth pair. Needs
 * CAP_SYS_ADMIN to enter the namespaces and CAP_NET_ADMIN to create interfaces in them.
 *
 * @throws NsmError FAILED_PRECONDITION if the state directory cannot be created or read.
 *
 * @example
 * import { forwarder, kernelMechanisms } from "nsm-sdk/chains/forwarder";
 *
 * const mechanisms = kernelMechanisms({ until, stateDir: "/var/lib/nsm/forwarder" });
 * const { networkService, monitor } = forwarder({ name, tokens, ...remotes.to(connectTo), remotes, until, mechanisms });
 */
export function kernelMechanisms(options: CrossConnectOptions): KernelMechanisms {
  const wiring = crossConnect(options);
  return {
    server: [recvFdServer(), mechanismsServer({ [MechanismType.Kernel]: wiring })],
    client: [offerMechanism({ cls: MechanismClass.Local, type: MechanismType.Kernel }), recvFdClient()],
    removeVWires: () => wiring.removeVWires(),
  };
}
