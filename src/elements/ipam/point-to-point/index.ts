/**
 * Gives each connection two addresses: the lower one to the endpoint ("dst"), the next to the client ("src"),
 * each as a network of one with a route to the other.
 *
 * Server side, in an endpoint; after begin() and connectionState(). Reads the excluded prefixes of the IP
 * context, writes its addresses and routes.
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

/** What to give addresses from. */
export interface PointToPointIpamOptions {
  /** Tried in this order: the first with room for a pair gives it. An address in two of them is of the first. */
  readonly prefixes: readonly string[];
  /** The prefixes that other elements of this chain give addresses from. Theirs stay in the context. */
  readonly others?: readonly string[] | undefined;
}

/**
 * See the module's description.
 *
 * A refresh keeps the pair, unless one of its addresses is excluded now. A connection that is not known here but
 * brings a free pair of ours (this process was restarted) keeps it. All other addresses that it brings, with the
 * routes to and through them, are taken out of its context: they belong to another connection, or the endpoint that
 * had the connection before has given them. Fails with RESOURCE_EXHAUSTED when no pair is left.
 *
 * @throws NsmError INVALID_ARGUMENT without prefixes or for what is none.
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
