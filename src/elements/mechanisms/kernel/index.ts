/**
 * The KERNEL mechanism as the two ends of a vWire see it: which network namespace the interface belongs into and
 * what it is called there. The interface itself is the forwarder's work.
 *
 * @example
 * const inodeUrl = `file:///proc/${process.pid}/ns/net`;
 * chain([..., clientUrl(url), dial({ remotes }), kernelClient({ inodeUrl }), connectClient()]); // nsc
 * chain([..., mechanismsServer({ KERNEL: kernelServer() })]); // nse
 *
 * @packageDocumentation
 */
export { kernelClient, type KernelClientOptions } from "./client.js";
export { localNamespaces } from "./local-namespaces.js";
export type { KernelParameters } from "./parameters.js";
export { kernelServer, type KernelServerOptions } from "./server.js";
