/**
 * Ends a client chain with a registry in another process. The address is the `remoteUrl` of the call, or else
 * the given URL. A watch that the registry ends is an error (UNAVAILABLE), because Go registries end it without
 * an error when their upstream fails.
 *
 * Both registries, client side, last. Throws FAILED_PRECONDITION without an address.
 *
 * @example
 * import { endpointRegistryChain } from "nsm-sdk/core";
 * import { begin } from "nsm-sdk/registry/elements/begin";
 * import { dialEndpoints } from "nsm-sdk/registry/elements/dial";
 * import { retry } from "nsm-sdk/registry/elements/retry";
 *
 * endpointRegistryChain([begin(), retry(), dialEndpoints({ remotes, url: "tcp://10.0.0.9:5002" })]);
 *
 * @packageDocumentation
 */
import { defer, type Observable } from "rxjs";
import {
  Code,
  NsmError,
  remoteUrl,
  type ChainElement,
  type Context,
  type EndpointRegistry,
  type Remote,
  type Remotes,
  type NetworkServiceRegistry,
  type Registry,
  type RegistryElement,
} from "../../../core/index.js";
import type { WatchableQuery } from "../../kinds.js";
import { unending } from "../../unending.js";

/** Options of dialNetworkServices() and dialEndpoints(). */
export interface DialOptions {
  readonly remotes: Remotes;
  /** Address for calls without a `remoteUrl`. Default: none. */
  readonly url?: string | undefined;
}

/** Ends the client chain of a network service registry. */
export const dialNetworkServices = (options: DialOptions): ChainElement<NetworkServiceRegistry> =>
  dial(options, (remote) => remote.networkServices);

/** Ends the client chain of an endpoint registry. */
export const dialEndpoints = (options: DialOptions): ChainElement<EndpointRegistry> =>
  dial(options, (remote) => remote.endpoints);

function dial<E, Q extends WatchableQuery, F>(
  { remotes, url }: DialOptions,
  pick: (remote: Remote) => Registry<E, Q, F>,
): RegistryElement<E, Q, F> {
  const target = (ctx: Context): Registry<E, Q, F> => {
    const address = ctx.get(remoteUrl) ?? url;
    if (address === undefined) {
      throw new NsmError(
        Code.FailedPrecondition,
        "no registry address: set remoteUrl in the call or pass url to the dial element",
      );
    }
    return pick(remotes.to(address));
  };

  return {
    name: "dial",
    register: async (ctx, entry) => target(ctx).register(ctx, entry),
    find: (ctx, query) =>
      defer((): Observable<F> => {
        const found = target(ctx).find(ctx, query);
        return query.watch ? unending(found) : found;
      }),
    unregister: async (ctx, entry) => target(ctx).unregister(ctx, entry),
  };
}
