import { connectionOf, patchConnection } from "../../api/index.js";
import { peer, type NetworkServiceElement } from "../../core/index.js";
import { withNamespaceOf } from "./peer-namespace.js";

/**
 * Accepts `file:///proc/self/ns/net` and `file:///proc/thread-self/ns/net` from a caller on a unix socket, and
 * replaces them by the inode URL of the namespace that the caller lives in. Go clients send such a path when their
 * descriptor leaves too early. Server side, in the first hop after the clients, before recvFdServer(): to later
 * hops, the path would be that of the previous hop.
 */
export function callersNamespace(): NetworkServiceElement {
  return {
    name: "recv-fd/callers-namespace",
    request(ctx, request, next) {
      const process = ctx.get(peer)?.connection?.process;
      if (!process) return next.request(ctx, request);
      const { mechanism } = connectionOf(request);
      return next.request(ctx, {
        ...patchConnection(request, { mechanism: mechanism && withNamespaceOf(process, mechanism) }),
        mechanismPreferences: request.mechanismPreferences.map((one) => withNamespaceOf(process, one)),
      });
    },
  };
}
