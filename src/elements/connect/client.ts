import { nextSegment } from "../../api/index.js";
import { Code, NsmError, type NetworkServiceElement } from "../../core/index.js";
import { peerLink } from "../dial/index.js";

/**
 * The end of a client chain: calls the next hop. After dial().
 *
 * Without a link a Request fails with FAILED_PRECONDITION. A Close fails with NOT_FOUND when the path says that
 * there is a next hop (it is not registered any more) and is done when there never was one.
 */
export function connectClient(): NetworkServiceElement {
  return {
    name: "connect/client",
    inside: ["dial"],

    async request(ctx, request) {
      const link = peerLink.get(ctx);
      if (!link) {
        throw new NsmError(
          Code.FailedPrecondition,
          "nothing says where to go next: neither a URL nor discovery",
        );
      }
      return link.networkService.request(ctx, request);
    },

    async close(ctx, connection) {
      const link = peerLink.get(ctx);
      if (link) return link.networkService.close(ctx, connection);
      const hop = nextSegment(connection);
      if (!hop) return;
      throw new NsmError(
        Code.NotFound,
        `connection ${connection.id} goes on to "${hop.name}", which is not registered any more`,
      );
    },
  };
}
