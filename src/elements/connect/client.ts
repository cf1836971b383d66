import { nextSegment } from "../../api/index.js";
import { Code, NsmError, type NetworkServiceElement } from "../../core/index.js";
import { nextRemote } from "../dial/index.js";

/**
 * The end of a client chain: calls the next hop. After dial().
 *
 * Without a remote a Request fails with FAILED_PRECONDITION. A Close fails with NOT_FOUND when the path says that
 * there is a next hop (it is not registered any more) and is done when there never was one.
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
          "nothing says where to go next: neither a URL nor discovery",
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
        `connection ${connection.id} goes on to "${hop.name}", which is not registered any more`,
      );
    },
  };
}
