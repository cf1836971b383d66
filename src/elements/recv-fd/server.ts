import { connectionOf, type Connection, type Mechanism } from "../../api/index.js";
import {
  eventCause,
  explain,
  log,
  peer,
  type Context,
  type NetworkServiceElement,
} from "../../core/index.js";
import { DESCRIPTOR_WITHIN_MS } from "../../wire/index.js";
import { RequestFiles, requestFiles } from "../request-files/index.js";
import { callersAreClients } from "./callers-namespace.js";
import { inodeUrlsIn, receiveFiles } from "./receive.js";

/**
 * Receives the files that the caller's mechanisms name. Server side; after begin, before the elements that use
 * the files.
 *
 * @throws NsmError UNAVAILABLE if a descriptor does not arrive, PERMISSION_DENIED if the file is the network
 * namespace of the machine and the caller does not live there, INVALID_ARGUMENT for a malformed inode URL. A
 * Close does not wait for a descriptor.
 */
export function recvFdServer(): NetworkServiceElement {
  return {
    name: "recv-fd/server",

    async request(ctx, request, next) {
      const offered = [...request.mechanismPreferences, connectionOf(request).mechanism];
      const files = new RequestFiles();
      try {
        await receiveFromCaller(ctx, offered, files, DESCRIPTOR_WITHIN_MS);
        return await next.request(ctx.with(requestFiles, files), request);
      } finally {
        files.close();
      }
    },

    async close(ctx, connection, next) {
      const files = new RequestFiles();
      try {
        await receiveForClose(ctx, connection, files);
        await next.close(ctx.with(requestFiles, files), connection);
      } finally {
        files.close();
      }
    },
  };
}

async function receiveFromCaller(
  ctx: Context,
  mechanisms: readonly (Mechanism | undefined)[],
  files: RequestFiles,
  withinMs: number,
): Promise<void> {
  // An event of this process comes with no message of the caller, so no descriptor will arrive.
  if ((ctx.get(eventCause) ?? "user") !== "user") return;
  const connection = ctx.get(peer)?.connection;
  const urls = inodeUrlsIn(mechanisms);
  if (!connection || urls.length === 0) return;
  const acceptsOwn = ctx.get(callersAreClients) ?? false;
  await receiveFiles(ctx, connection, urls, { files, withinMs, acceptsOwn });
}

async function receiveForClose(
  ctx: Context,
  { id, mechanism }: Connection,
  files: RequestFiles,
): Promise<void> {
  try {
    await receiveFromCaller(ctx, [mechanism], files, 0);
  } catch (error) {
    log(ctx).debug({ connection: id, error: explain(error) }, "a Close came without its descriptor");
  }
}
