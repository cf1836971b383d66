import { nextSegment } from "../../api/index.js";
import { Code, NsmError, type NetworkServiceElement } from "../../core/index.js";
import { nextRemote } from "../dial/index.js";

/**
 * Ends a client chain by calling the next hop. After dial().
 *
 * Without a remote, a Request fails with FAILED_PRECONDITION. A Close without a remote fails with NOT_FOUND if
 * the path names a next hop, which is then no longer registered. If the path names none, the Close succeeds.
 */
export function connectClient(): NetworkServiceElement {
  return {
    name: "connect/client",
    inside: ["dial"],

    async request(ctx, request) {
      const remote = nextRemote.get(ctx);
      if (!remote) {
        throw new NsmError(
          Code.FailedPrecondition,
          "no next hop is set: add clientUrl(), discover() or discoverForwarder() to the chain",
        );
      }
      return remote.networkService.request(ctx, request);
    },

    async close(ctx, connection) {
      const remote = nextRemote.get(ctx);
      if (remote) return remote.networkService.close(ctx, connection);
      const hop = nextSegment(connection);
      if (!hop) return;
      throw new NsmError(
        Code.NotFound,
        `next hop "${hop.name}" of connection ${connection.id} is no longer registered`,
      );
    },
  };
}
