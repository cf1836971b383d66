/**
 * Allocates two addresses for each connection: the lower one for the endpoint ("dst"), the next one for the
 * client ("src"). Each address is a host prefix with a route to the other.
 *
 * Server side, in an endpoint; after begin() and connectionState(). Reads the excluded prefixes of the IP
 * context; writes its addresses and routes.
 *
 * @example
 * import {
 *   beginServer,
 *   chain,
 *   connectionState,
 *   kernelServer,
 *   mechanismsServer,
 *   pointToPointIpam,
 *   updatePath,
 * } from "nsm-sdk";
 *
 * chain([
 *   updatePath({ name: "nse" }),
 *   beginServer(),
 *   connectionState(),
 *   pointToPointIpam({ prefixes: ["172.16.1.0/24"] }),
 *   mechanismsServer({ KERNEL: kernelServer() }),
 * ]);
 *
 * @packageDocumentation
 */
import { connectionOf, IPContext, patchConnection, patchIpContext } from "../../../api/index.js";
import { Slot, type NetworkServiceElement } from "../../../core/index.js";
import { AddressSet, parsePrefix, parsePrefixOrAddress } from "../../../net/index.js";
import { addressedWith, addressesIn } from "./ip-context.js";
import { PairPool, type Pair } from "./pair-pool.js";

/** Options of pointToPointIpam(). */
export interface PointToPointIpamOptions {
  /**
   * The prefixes to allocate from, in this order. The first prefix with a free pair is used. An address in two
   * prefixes belongs to the first.
   */
  readonly prefixes: readonly string[];
  /**
   * The prefixes that other elements of this chain allocate from. Their addresses stay in the context. Default:
   * none.
   */
  readonly others?: readonly string[] | undefined;
}

/**
 * Creates the element. See the module description.
 *
 * A refresh keeps the pair, unless one of its addresses is now excluded. An unknown connection that brings a
 * free pair of these prefixes keeps it, as after a restart of this process. All other addresses in its context
 * are removed, with the routes to and through them: they belong to another connection, or come from the
 * previous endpoint. A Request fails with RESOURCE_EXHAUSTED if no pair is free.
 *
 * @throws NsmError INVALID_ARGUMENT if there is no prefix or a prefix is invalid.
 */
export function pointToPointIpam({ prefixes, others = [] }: PointToPointIpamOptions): NetworkServiceElement {
  const pool = new PairPool(prefixes);
  const foreign = new AddressSet(others.map(parsePrefix));
  const pairs = new Slot<Pair>("ipam/point-to-point", {
    release: (pair) => pool.giveBack(pair),
    adopt: (pair) => pool.claim(pair),
    abandon: (pair) => pool.giveBack(pair),
  });

  return {
    name: "ipam/point-to-point",
    inside: ["connection-state"],
    provides: [pairs],
    debugState: () => ({ pairs: pool.taken }),

    async request(ctx, request, next) {
      const connection = connectionOf(request);
      const ip = connection.context?.ipContext ?? IPContext.create();
      const excluded = new AddressSet(ip.excludedPrefixes.map(parsePrefixOrAddress));

      const earlier = pairs.get(ctx);
      const keeps = earlier && !excluded.has(earlier.client) && !excluded.has(earlier.endpoint);
      const pair = keeps ? earlier : pool.take(addressesIn(ip), excluded);
      pairs.set(ctx, pair);
      const addressed = patchIpContext(connection, (context) => addressedWith(context, pair, foreign));
      return next.request(ctx, patchConnection(request, addressed));
    },
  };
}
