import { concatMap, filter, lastValueFrom, map, Observable, of } from "rxjs";
import type { NetworkServiceEndpointQuery, NetworkServiceEndpointResponse } from "../../../api/index.js";
import {
  Code,
  codeOf,
  explain,
  log,
  type ChainElement,
  type Context,
  type EndpointRegistry,
  type TransportConnection,
} from "../../../core/index.js";
import { attachments, serverPeer } from "../../../outbound/index.js";
import { endpointKind } from "../../kinds.js";
import { isInodeUrl } from "../../../wire/index.js";
import { EndpointSockets } from "./endpoint-sockets.js";
import type { RecvFdOptions } from "./options.js";

/** How long to wait for the sockets of messages that arrived together, in milliseconds. */
const LOST_AFTER_MS = 500;
/** Time limit of the second Find, in milliseconds. */
const AGAIN_WITHIN_MS = 5_000;

/** A message of the server, the connection it came over, and when. */
interface Arrived {
  readonly found: NetworkServiceEndpointResponse;
  readonly connection: TransportConnection | undefined;
  readonly at: number;
}

/** Finds an endpoint once more. Returns undefined if it is no longer registered. */
type FindAgain = (ctx: Context, name: string) => Promise<Arrived | undefined>;

/** Creates the client's element. See the module description. */
export function recvFdClient({ until }: RecvFdOptions): ChainElement<EndpointRegistry> {
  const sockets = new EndpointSockets(until);

  /** The message with a URL that this process can call. */
  const usable = async (
    ctx: Context,
    { found, connection }: Arrived,
    limitMs?: number,
  ): Promise<NetworkServiceEndpointResponse> => {
    const endpoint = found.networkServiceEndpoint!;
    if (!isInodeUrl(endpoint.url)) return found;
    const url = await sockets.urlOf(ctx, endpoint, connection, limitMs);
    return { ...found, networkServiceEndpoint: { ...endpoint, url } };
  };

  /** The same; a connection keeps a limited number of sockets that were not taken, so one may be lost. */
  const usableInTheEnd = async (
    ctx: Context,
    arrived: Arrived,
    again: FindAgain,
  ): Promise<NetworkServiceEndpointResponse> => {
    try {
      return await usable(ctx, arrived, Math.max(1, arrived.at + LOST_AFTER_MS - ctx.clock.now()));
    } catch (error) {
      if (ctx.signal.aborted || codeOf(error) !== Code.Unavailable) throw error;
      const { name } = arrived.found.networkServiceEndpoint!;
      const second = await ctx.withTimeout(AGAIN_WITHIN_MS, (c) => again(c, name));
      if (!second) throw error;
      return usable(ctx, second);
    }
  };

  const received = (
    ctx: Context,
    arrived: Arrived,
    again: FindAgain,
  ): Observable<NetworkServiceEndpointResponse> => {
    const { found } = arrived;
    const endpoint = found.networkServiceEndpoint;
    if (!endpoint) return of(found);
    if (found.deleted || !isInodeUrl(endpoint.url)) {
      sockets.forget(endpoint.name);
      return of(found);
    }
    return new Observable((subscriber) => {
      const unsubscribed = new AbortController();
      ctx
        .withSignal(unsubscribed.signal, (c) => usableInTheEnd(c, arrived, again))
        .then(
          (answer) => subscriber.next(answer),
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
    debugState: () => ({ sockets: sockets.size }),

    find(ctx, query, next) {
      const ask = (c: Context, asked: NetworkServiceEndpointQuery): Observable<Arrived> => {
        const server = c.get(serverPeer) ?? {};
        const asking = c.with(serverPeer, server).with(attachments, c.get(attachments) ?? []);
        return next
          .find(asking, asked)
          .pipe(map((found) => ({ found, connection: server.current?.connection, at: c.clock.now() })));
      };
      const again: FindAgain = (c, name) => {
        const isIt = ({ found }: Arrived): boolean =>
          !found.deleted && found.networkServiceEndpoint?.name === name;
        const byName = ask(c, endpointKind.query({ name }, false));
        return lastValueFrom(byName.pipe(filter(isIt)), { defaultValue: undefined });
      };
      return ask(ctx, query).pipe(concatMap((arrived) => received(ctx, arrived, again)));
    },
  };
}
