/**
 * Ends a client chain with a registry in another process. The address is the call's `remoteUrl`, else the one
 * given. A watch that the other side ends although its reader did not is an error (UNAVAILABLE): registries in Go
 * end it cleanly when what is behind them dies.
 *
 * Both registries, client side, last. Throws FAILED_PRECONDITION without an address.
 *
 * @example
 * endpointRegistryChain([begin(), retry(), dialEndpoints({ links, url: "tcp://10.0.0.9:5002" })]);
 *
 * @packageDocumentation
 */
import { concat, defer, throwError, type Observable } from "rxjs";
import {
  Code,
  NsmError,
  remoteUrl,
  type ChainElement,
  type Context,
  type EndpointRegistry,
  type Link,
  type Links,
  type NetworkServiceRegistry,
  type Registry,
  type RegistryElement,
} from "../../../core/index.js";
import type { WatchableQuery } from "../../kinds/index.js";

/** Where to. */
export interface DialOptions {
  readonly links: Links;
  /** For calls that say nothing themselves. */
  readonly url?: string | undefined;
}

/** Ends a client chain of the registry of network services. */
export const dialNetworkServices = (options: DialOptions): ChainElement<NetworkServiceRegistry> =>
  dial(options, (link) => link.networkServices);

/** Ends a client chain of the registry of endpoints. */
export const dialEndpoints = (options: DialOptions): ChainElement<EndpointRegistry> =>
  dial(options, (link) => link.endpoints);

function dial<E, Q extends WatchableQuery, F>(
  { links, url }: DialOptions,
  pick: (link: Link) => Registry<E, Q, F>,
): RegistryElement<E, Q, F> {
  const target = (ctx: Context): Registry<E, Q, F> => {
    const address = ctx.get(remoteUrl) ?? url;
    if (address === undefined) {
      throw new NsmError(
        Code.FailedPrecondition,
        "no address of a registry: neither the call nor the chain has one",
      );
    }
    return pick(links.to(address));
  };

  return {
    name: "dial",
    register: async (ctx, entry) => target(ctx).register(ctx, entry),
    find: (ctx, query) =>
      defer((): Observable<F> => {
        const found = target(ctx).find(ctx, query);
        return query.watch ? concat(found, throwError(watchEnded)) : found;
      }),
    unregister: async (ctx, entry) => target(ctx).unregister(ctx, entry),
  };
}

function watchEnded(): NsmError {
  return new NsmError(Code.Unavailable, "the registry ended the watch");
}
