import { MechanismType } from "../../api/index.js";
import type { Elements, NetworkService } from "../../core/index.js";
import { mechanismsServer } from "../../elements/mechanisms/index.js";
import { kernelClient } from "../../elements/mechanisms/kernel/index.js";

/** The two halves of what a forwarder does between client and endpoint. */
export interface ForwarderMechanisms {
  /** Towards the client: chooses the mechanism and wires the client's side. */
  readonly server: Elements<NetworkService>;
  /** Towards the endpoint: offers mechanisms and wires the endpoint's side. */
  readonly client: Elements<NetworkService>;
}

/** Negotiates the kernel mechanism with both sides, and leaves the kernel alone. */
export function controlPlaneMechanisms(): ForwarderMechanisms {
  return { server: [mechanismsServer({ [MechanismType.Kernel]: [] })], client: [kernelClient()] };
}
