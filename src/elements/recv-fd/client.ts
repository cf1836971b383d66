import { pathOf, type Connection } from "../../api/index.js";
import type { NetworkServiceElement } from "../../core/index.js";
import { attachments, serverPeer } from "../../outbound/index.js";
import { DESCRIPTOR_WITHIN_MS } from "../../wire/index.js";
import { requestFiles } from "../request-files/index.js";
import { withNamespaceOf } from "./peer-namespace.js";
import { inodeUrlsIn, receiveFiles } from "./receive.js";

/**
 * Receives the file that the mechanism of the answer names. Client side; in a chain behind recvFdServer(), before
 * sendFdClient().
 *
 * @throws NsmError like recvFdServer(). The connection is then established at the next hop: an element such as
 * compensate() closes it.
 */
export function recvFdClient(): NetworkServiceElement {
  return {
    name: "recv-fd/client",

    async request(ctx, request, next): Promise<Connection> {
      const files = ctx.get(requestFiles);
      if (!files) return next.request(ctx, request);
      const server = ctx.get(serverPeer) ?? {};
      // With this key, the call uses a connection on which descriptors can arrive.
      const passing = ctx.with(attachments, ctx.get(attachments) ?? []).with(serverPeer, server);
      const answer = await next.request(passing, request);
      const connection = server.current?.connection;
      if (!connection || !answer.mechanism) return answer;
      // A hop in between would answer with what another process has written.
      const { index, pathSegments } = pathOf(answer);
      const acceptsOwn = pathSegments.length <= index + 2;
      const mechanism = acceptsOwn ? withNamespaceOf(connection.process, answer.mechanism) : answer.mechanism;
      const urls = inodeUrlsIn([mechanism]);
      await receiveFiles(ctx, connection, urls, { files, withinMs: DESCRIPTOR_WITHIN_MS, acceptsOwn });
      return { ...answer, mechanism };
    },
  };
}
