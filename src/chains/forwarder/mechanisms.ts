import { MechanismType } from "../../api/index.js";
import type { Elements, NetworkService } from "../../core/index.js";
import { mechanismsServer } from "../../elements/mechanisms/index.js";
import { kernelClient } from "../../elements/mechanisms/kernel/index.js";

/** The elements of a forwarder for its two sides. */
export interface ForwarderMechanisms {
  /** For the client side: selects the mechanism and configures the client's interface. */
  readonly server: Elements<NetworkService>;
  /** For the endpoint side: offers mechanisms and configures the endpoint's interface. */
  readonly client: Elements<NetworkService>;
}

/** Negotiates the kernel mechanism with both sides, without changes to the kernel. */
export function controlPlaneMechanisms(): ForwarderMechanisms {
  return { server: [mechanismsServer({ [MechanismType.Kernel]: [] })], client: [kernelClient()] };
}
