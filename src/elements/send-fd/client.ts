import { connectionOf, patchConnection, type Connection, type Mechanism } from "../../api/index.js";
import type { Context, NetworkServiceElement } from "../../core/index.js";
import { canPassDescriptors } from "../../linux/sockets/attachments.js";
import { attachments } from "../../outbound/index.js";
import { nextRemote } from "../dial/index.js";
import { requestFiles } from "../request-files/index.js";
import { OutgoingFiles } from "./outgoing-files.js";

/**
 * Passes the files that mechanisms name to the next hop. Client side; after the elements that offer mechanisms,
 * before connectClient().
 *
 * @throws NsmError FAILED_PRECONDITION if a file of this process cannot be opened
 */
export function sendFdClient(): NetworkServiceElement {
  return {
    name: "send-fd/client",
    inside: ["dial"],

    request: (ctx, request, next) =>
      passing(
        ctx,
        async (files) => {
          const { mechanism } = connectionOf(request);
          const mechanismPreferences = request.mechanismPreferences.map((offered) => files.add(offered));
          const named = mechanism ? patchConnection(request, { mechanism: files.add(mechanism) }) : request;
          const sent = withDescriptors(ctx, files);
          const answer = await next.request(sent, { ...named, mechanismPreferences });
          return { ...answer, mechanism: answer.mechanism && files.restore(answer.mechanism) };
        },
        () => next.request(ctx, request),
      ),

    close: (ctx, connection, next) =>
      passing(
        ctx,
        async (files) => {
          const mechanism = connection.mechanism && nameIfOpen(files, connection.mechanism);
          await next.close(withDescriptors(ctx, files), { ...connection, mechanism });
        },
        () => next.close(ctx, connection),
      ),
  };
}

/** Runs `work` if the next hop can receive descriptors, else `otherwise`. */
async function passing<R>(
  ctx: Context,
  work: (files: OutgoingFiles) => Promise<R>,
  otherwise: () => Promise<R>,
): Promise<R> {
  const url = nextRemote.get(ctx)?.url ?? "";
  if (!url.startsWith("unix:") || !canPassDescriptors()) return otherwise();
  const files = new OutgoingFiles(ctx.get(requestFiles));
  try {
    return await work(files);
  } finally {
    files.close();
  }
}

function withDescriptors(ctx: Context, { descriptors }: OutgoingFiles): Context {
  if (descriptors.length === 0) return ctx;
  return ctx.with(attachments, [...(ctx.get(attachments) ?? []), ...descriptors]);
}

/** A Close does not depend on the file, which may be gone. */
function nameIfOpen(files: OutgoingFiles, mechanism: Mechanism): Connection["mechanism"] {
  try {
    return files.add(mechanism);
  } catch {
    return mechanism;
  }
}
