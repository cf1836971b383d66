/**
 * Connects chains. `connectServer(client)` forwards the calls of a server chain to a client chain.
 * `connectClient()` ends that client chain and calls the remote that dial() selected.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { beginClient } from "nsm-sdk/elements/begin";
 * import { connectClient, connectServer } from "nsm-sdk/elements/connect";
 * import { dial } from "nsm-sdk/elements/dial";
 * import { discover } from "nsm-sdk/elements/discover";
 *
 * const client = chain([
 *   updatePath({ name }),
 *   beginClient(),
 *   connectionState(),
 *   dial({ remotes }),
 *   connectClient(),
 * ]);
 * chain([
 *   updatePath({ name }),
 *   beginServer(),
 *   connectionState(),
 *   discover({ networkServices, endpoints }),
 *   connectServer(client),
 * ]);
 *
 * @packageDocumentation
 */
export { connectClient } from "./client.js";
export { connectServer, type ConnectServerOptions } from "./server.js";
