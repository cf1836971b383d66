/**
 * The wire itself: joins the client's and the endpoint's network namespace by one veth pair, made straight into
 * both, and gives either end the addresses, routes, neighbours and MTU of the connection's context. A refresh
 * touches only what has changed; Close and a failed Request leave nothing.
 *
 * Server side of a forwarder: after connectionState(), among the KERNEL elements of mechanismsServer(), before
 * connectServer(), whose client chain has mechanismTranslation() and dial(). Acts after the endpoint has answered.
 * Reads `peer` and the slots `endpointMechanism` and `nextRemote`; only those on this machine may name a namespace.
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
