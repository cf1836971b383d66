/**
 * Receives the files that mechanisms name by `inode://<device>/<inode>`. The descriptors arrive on the same unix
 * socket as the message, as Go peers with grpcfd send them.
 *
 * recvFdServer() receives those of the caller, recvFdClient() those of the answer. Both add them to
 * `requestFiles`, where a mechanism finds them until the Request ends. The message stays as it is. Over TCP, no
 * descriptor can arrive, and nothing is added.
 *
 * If a client or an endpoint passes no descriptor, but names the network namespace that it lives in, recv-fd opens
 * this namespace itself: the kernel knows the process at the other end of a unix socket. A hop between them must pass
 * a descriptor, because it forwards names that others have written. The namespace of the machine is accepted only from
 * a process that lives in it.
 *
 * Source: NSM protocol, file descriptor passing.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { connectClient, connectServer } from "nsm-sdk/elements/connect";
 * import { recvFdClient, recvFdServer } from "nsm-sdk/elements/recv-fd";
 * import { sendFdClient, sendFdServer } from "nsm-sdk/elements/send-fd";
 *
 * const onward = chain([...elements, recvFdClient(), sendFdClient(), connectClient()]);
 * chain([...elements, recvFdServer(), sendFdServer(), connectServer(onward)]);
 *
 * @packageDocumentation
 */
export { callersNamespace } from "./callers-namespace.js";
export { recvFdClient } from "./client.js";
export { recvFdServer } from "./server.js";
