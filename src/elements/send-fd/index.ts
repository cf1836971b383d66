/**
 * Passes the files of mechanisms as descriptors, on the same unix socket as the message. The message names a
 * passed file by `inode://<device>/<inode>`, as Go peers with grpcfd expect it.
 *
 * sendFdClient() passes the files of a Request to the next hop, sendFdServer() the file of the answer to the
 * caller. They pass files that were received during this Request, and paths that a mechanism of this process has
 * offered in `requestFiles`, as kernelClient() and kernelServer() do. They never open a path that a peer has
 * written. Over TCP, and where the platform cannot pass descriptors, the message stays as it is.
 *
 * Source: NSM protocol, file descriptor passing.
 *
 * @example
 * import { chain, kernelClient } from "nsm-sdk";
 * import { connectClient } from "nsm-sdk/elements/connect";
 * import { sendFdClient } from "nsm-sdk/elements/send-fd";
 *
 * chain([...elements, kernelClient({ inodeUrl: "file:///proc/self/ns/net" }), sendFdClient(), connectClient()]);
 *
 * @packageDocumentation
 */
export { sendFdClient } from "./client.js";
export { sendFdServer } from "./server.js";
