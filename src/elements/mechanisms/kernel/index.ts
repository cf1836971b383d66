/**
 * The KERNEL mechanism at both ends of a vWire: the network namespace of the interface and its name. The
 * forwarder creates the interface.
 *
 * @example
 * import { chain, kernelClient, kernelServer, mechanismsServer } from "nsm-sdk";
 * import { clientUrl } from "nsm-sdk/elements/client-url";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 *
 * const inodeUrl = `file:///proc/${process.pid}/ns/net`;
 * chain([...elements, clientUrl(url), dial({ remotes }), kernelClient({ inodeUrl }), connectClient()]); // nsc
 * chain([...elements, mechanismsServer({ KERNEL: kernelServer() })]); // nse
 *
 * @packageDocumentation
 */
export { kernelClient, type KernelClientOptions } from "./client.js";
export type { KernelParameters } from "./parameters.js";
export { kernelServer, type KernelServerOptions } from "./server.js";
