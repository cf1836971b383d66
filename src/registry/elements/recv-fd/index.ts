/**
 * Receives the unix sockets of endpoints as descriptors, from callers that use `sendFd()` or Go's `sendfd`. A URL
 * `inode://<device>/<inode>` becomes `unix:///proc/self/fd/<n>`, under which this process reaches the socket from any
 * container. As long as the socket is the same, so is the URL.
 *
 * recvFdServer(): endpoint registry, in a manager; after registration-state and expire, before local-bypass. Keeps the
 * socket until the endpoint is unregistered or comes back with another one. A Find shows such an endpoint to callers
 * on a unix socket as `inode://…`, and sends the descriptor; to other callers of this machine as
 * `unix:///proc/<pid>/fd/<n>`; to callers on other machines not at all. Other endpoints remain unchanged.
 *
 * recvFdClient(): endpoint registry, client side; after cache, before dial. Receives the sockets of the endpoints that
 * a Find shows, and keeps each until the endpoint is deleted or its registration expires. It asks once more
 * for an endpoint whose socket does not arrive, then omits and logs it.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { endpointKind } from "nsm-sdk/registry";
 * import { cache } from "nsm-sdk/registry/elements/cache";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 * import { recvFdClient } from "nsm-sdk/registry/elements/recv-fd";
 *
 * endpointRegistryChain([
 *   cache({ kind: endpointKind, until }),
 *   recvFdClient({ until }),
 *   dialEndpoints({ remotes, url }),
 * ]);
 *
 * @packageDocumentation
 */
export { recvFdClient } from "./client.js";
export { recvFdServer } from "./server.js";

/** Options of recvFdServer() and recvFdClient(). */
export type { RecvFdOptions } from "./options.js";
