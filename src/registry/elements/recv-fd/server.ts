import { filter, map } from "rxjs";
import type { NetworkServiceEndpointResponse } from "../../../api/index.js";
import { peer, Slot, type ChainElement, type Context, type EndpointRegistry } from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";
import { isInodeUrl } from "../../../wire/index.js";
import { assertNoProcessFile, SocketReceiver, type PassedSocket } from "../../passed-socket.js";
import type { RecvFdOptions } from "./options.js";

/** Creates the server's element. See the module description. */
export function recvFdServer({ until }: RecvFdOptions): ChainElement<EndpointRegistry> {
  const receiver = new SocketReceiver();
  /** By the URL under which this process reaches them. */
  const held = new Map<string, PassedSocket>();
  const close = (socket: PassedSocket): void => {
    held.delete(socket.url);
    socket.close();
  };
  const registered = new Slot<PassedSocket | undefined>("recv-fd", {
    release: (socket) => socket && close(socket),
  });
  atEnd(until, () => held.forEach(close));

  /** The entry as the caller can use it, or undefined if it cannot reach the endpoint. */
  const shown = (
    ctx: Context,
    found: NetworkServiceEndpointResponse,
  ): NetworkServiceEndpointResponse | undefined => {
    const endpoint = found.networkServiceEndpoint;
    const socket = endpoint && held.get(endpoint.url);
    if (!socket) return found;
    const at = (url: string): NetworkServiceEndpointResponse => ({
      ...found,
      networkServiceEndpoint: { ...endpoint, url },
    });
    const caller = ctx.get(peer);
    const attachments = caller?.connection?.attachments;
    if (found.deleted || attachments) {
      if (!found.deleted) attachments?.send(socket.fd);
      return at(socket.inodeUrl);
    }
    // A process of this user and machine can open it, unless it is in another container. Under the URL of the manager,
    // a forwarder would get its own Requests back.
    return caller?.local ? at(`unix:///proc/${process.pid}/fd/${socket.fd}`) : undefined;
  };

  return {
    name: "recv-fd/server",
    inside: ["registration-state"],
    provides: [registered],
    debugState: () => ({ sockets: held.size }),

    async register(ctx, endpoint, next) {
      assertNoProcessFile(endpoint);
      const known = registered.get(ctx);
      if (!isInodeUrl(endpoint.url)) {
        if (known) registered.set(ctx, undefined);
        return next.register(ctx, endpoint);
      }
      let socket = known;
      if (socket?.inodeUrl !== endpoint.url) {
        socket = await receiver.receive(ctx, ctx.get(peer)?.connection, endpoint);
        held.set(socket.url, socket);
        registered.set(ctx, socket);
      }
      const { url } = socket;
      const response = await next.register(ctx, { ...endpoint, url });
      return response.url === url ? { ...response, url: endpoint.url } : response;
    },

    find: (ctx, query, next) =>
      next.find(ctx, query).pipe(
        map((found) => shown(ctx, found)),
        filter((found) => found !== undefined),
      ),

    async unregister(ctx, endpoint, next) {
      const socket = registered.get(ctx);
      await next.unregister(
        ctx,
        socket?.inodeUrl === endpoint.url ? { ...endpoint, url: socket.url } : endpoint,
      );
    },
  };
}
