import { connectionOf, patchConnection } from "../../api/index.js";
import { ContextKey, peer, type NetworkServiceElement } from "../../core/index.js";
import { withNamespaceOf } from "./peer-namespace.js";

/**
 * Whether the callers are the clients. A hop in between forwards what others have written, so the name of its own
 * namespace proves nothing.
 */
export const callersAreClients = new ContextKey<true>("callers-are-clients");

/**
 * Accepts the namespace that the caller lives in without a descriptor. Also accepts `file:///proc/self/ns/net` and
 * `file:///proc/thread-self/ns/net` from a caller on a unix socket, and replaces them by the inode URL of that
 * namespace: Go clients that pass no descriptor send such a path. Server side, in the first hop after the clients,
 * before recvFdServer(): to later hops, it would be the namespace of the previous hop.
 */
export function callersNamespace(): NetworkServiceElement {
  return {
    name: "recv-fd/callers-namespace",
    request(ctx, request, next) {
      const process = ctx.get(peer)?.connection?.process;
      if (!process) return next.request(ctx, request);
      const { mechanism } = connectionOf(request);
      return next.request(ctx.with(callersAreClients, true), {
        ...patchConnection(request, { mechanism: mechanism && withNamespaceOf(process, mechanism) }),
        mechanismPreferences: request.mechanismPreferences.map((one) => withNamespaceOf(process, one)),
      });
    },
  };
}
