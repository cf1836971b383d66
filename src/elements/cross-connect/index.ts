/**
 * Creates the vWire: connects the network namespaces of client and endpoint by one veth pair, created directly
 * in both. It configures both ends with the addresses, routes, neighbors and MTU of the connection's context. A
 * refresh changes only what differs. Close and a failed Request remove everything.
 *
 * Server side of a forwarder: after connectionState(), among the KERNEL elements of mechanismsServer(), before
 * connectServer(), whose client chain has mechanismTranslation() and recvFdClient(). Acts after the endpoint has
 * answered. Reads `requestFiles` and the slot `endpointMechanism`. Both namespaces must have come as descriptors:
 * see recvFdServer().
 *
 * @example
 * import { mechanismsServer } from "nsm-sdk";
 * import { connectServer } from "nsm-sdk/elements/connect";
 * import { crossConnect } from "nsm-sdk/elements/cross-connect";
 *
 * const wiring = crossConnect({ until, stateDir: "/var/lib/nsm/forwarder" });
 * const server = [...elements, mechanismsServer({ KERNEL: wiring }), connectServer(client)];
 *
 * @packageDocumentation
 */
export { crossConnect, type CrossConnect, type CrossConnectOptions } from "./element.js";
export type { Kernel, Namespace, NewEnd } from "./kernel.js";
export { linuxKernel } from "./linux-kernel.js";
