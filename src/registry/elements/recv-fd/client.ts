import { concatMap, map, Observable, of } from "rxjs";
import {
  fromTimestamp,
  type NetworkServiceEndpoint,
  type NetworkServiceEndpointResponse,
} from "../../../api/index.js";
import {
  explain,
  log,
  type CancelTimer,
  type ChainElement,
  type Context,
  type EndpointRegistry,
  type TransportConnection,
} from "../../../core/index.js";
import { atEnd } from "../../../core/until.js";
import { attachments, serverPeer } from "../../../outbound/index.js";
import { isInodeUrl, SocketReceiver, type PassedSocket } from "../../passed-socket.js";
import type { RecvFdOptions } from "./options.js";

/** The socket of an endpoint, and the timer of its expiration. */
interface Held {
  readonly socket: PassedSocket;
  cancelExpiry?: CancelTimer | undefined;
}

/** Creates the client's element. See the module description. */
export function recvFdClient({ until }: RecvFdOptions): ChainElement<EndpointRegistry> {
  const receiver = new SocketReceiver();
  /** By endpoint name. */
  const held = new Map<string, Held>();
  const forget = (name: string): void => {
    const known = held.get(name);
    held.delete(name);
    known?.cancelExpiry?.();
    known?.socket.close();
  };
  atEnd(until, () => [...held.keys()].forEach(forget));

  /** Keeps the socket as long as a cache may answer with the endpoint. */
  const keepUntilExpiry = (
    ctx: Context,
    { name, expirationTime }: NetworkServiceEndpoint,
    one: Held,
  ): void => {
    if (held.get(name) !== one) return;
    one.cancelExpiry?.();
    one.cancelExpiry =
      expirationTime &&
      ctx.clock.after(Math.max(0, fromTimestamp(expirationTime) - ctx.clock.now()), () => forget(name), {
        background: true,
      });
  };

  const socketOf = async (
    ctx: Context,
    endpoint: NetworkServiceEndpoint,
    connection: TransportConnection | undefined,
  ): Promise<Held> => {
    const { name, url } = endpoint;
    const known = (): Held | undefined => {
      const one = held.get(name);
      return one?.socket.inodeUrl === url ? one : undefined;
    };
    if (known()) return known()!;
    const socket = await receiver.receive(ctx, connection, endpoint);
    // Another Find may have received it meanwhile.
    const other = known();
    if (other || until.aborted) socket.close();
    if (other) return other;
    forget(name);
    const one: Held = { socket };
    if (!until.aborted) held.set(name, one);
    return one;
  };

  const received = (
    ctx: Context,
    found: NetworkServiceEndpointResponse,
    connection: TransportConnection | undefined,
  ): Observable<NetworkServiceEndpointResponse> => {
    const endpoint = found.networkServiceEndpoint;
    if (!endpoint) return of(found);
    if (found.deleted || !isInodeUrl(endpoint.url)) {
      forget(endpoint.name);
      return of(found);
    }
    return new Observable((subscriber) => {
      const unsubscribed = new AbortController();
      ctx
        .withSignal(unsubscribed.signal, (c) => socketOf(c, endpoint, connection))
        .then(
          (one) => {
            keepUntilExpiry(ctx, endpoint, one);
            subscriber.next({ ...found, networkServiceEndpoint: { ...endpoint, url: one.socket.url } });
          },
          (error: unknown) => {
            if (unsubscribed.signal.aborted) return;
            log(ctx).warn({ endpoint: endpoint.name, error: explain(error) }, "omitted an endpoint");
          },
        )
        .finally(() => subscriber.complete());
      return () => unsubscribed.abort();
    });
  };

  return {
    name: "recv-fd/client",
    debugState: () => ({ sockets: held.size }),
    find(ctx, query, next) {
      const server = ctx.get(serverPeer) ?? {};
      const asking = ctx.with(serverPeer, server).with(attachments, ctx.get(attachments) ?? []);
      return next.find(asking, query).pipe(
        map((found) => ({ found, connection: server.current?.connection })),
        concatMap(({ found, connection }) => received(ctx, found, connection)),
      );
    },
  };
}
