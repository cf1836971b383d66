import { peer, type NetworkServiceElement } from "../../core/index.js";
import { RequestFiles, requestFiles } from "../request-files/index.js";
import { OutgoingFiles } from "./outgoing-files.js";

/**
 * Passes the file that the mechanism of the answer names to the caller. Server side; after begin, before the
 * elements that set the mechanism.
 *
 * @throws NsmError FAILED_PRECONDITION if a file of this process cannot be opened
 */
export function sendFdServer(): NetworkServiceElement {
  return {
    name: "send-fd/server",

    async request(ctx, request, next) {
      const known = ctx.get(requestFiles) ?? new RequestFiles();
      const answer = await next.request(ctx.with(requestFiles, known), request);
      const attachments = ctx.get(peer)?.connection?.attachments;
      if (!attachments || !answer.mechanism) return answer;
      const files = new OutgoingFiles(known);
      try {
        const mechanism = files.addOwn(answer.mechanism);
        for (const fd of files.descriptors) attachments.send(fd);
        return { ...answer, mechanism };
      } finally {
        files.close();
      }
    },
  };
}
