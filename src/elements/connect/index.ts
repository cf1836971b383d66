/**
 * Joins chains. `connectServer(client)` sends the calls of a server chain on through a client chain;
 * `connectClient()` ends that client chain in the remote that dial() chose.
 *
 * @example
 * const client = chain([updatePath({ name }), beginClient(), connectionState(), dial({ remotes }), connectClient()]);
 * chain([updatePath({ name }), beginServer(), connectionState(), discover(registries), connectServer(client)]);
 *
 * @packageDocumentation
 */
export { connectClient } from "./client.js";
export { connectServer, type ConnectServerOptions } from "./server.js";
