import { Route, type IPContext } from "../../../api/index.js";
import {
  formatPrefix,
  hostPrefix,
  parsePrefixOrAddress,
  sameAddress,
  type IpAddress,
} from "../../../net/index.js";
import type { Brought, Pair, PairPool } from "./pair-pool.js";

/** The addresses that an IP context has for either end. */
export function addressesIn({ srcIpAddrs, dstIpAddrs }: IPContext): Brought {
  return { client: srcIpAddrs.map(addressOf), endpoint: dstIpAddrs.map(addressOf) };
}

/**
 * What changes in an IP context when the connection holds this pair: its addresses and the routes to them are
 * there once, and other addresses of the pool, with the routes to them, are not.
 */
export function addressedWith(ip: IPContext, pair: Pair, pool: PairPool): Partial<IPContext> {
  const client = addressList(ip.srcIpAddrs, pair.client, pool);
  const endpoint = addressList(ip.dstIpAddrs, pair.endpoint, pool);
  return {
    srcIpAddrs: client.kept,
    dstIpAddrs: endpoint.kept,
    // Each end needs a way to the other end's address.
    srcRoutes: routeList(ip.srcRoutes, pair.endpoint, endpoint.dropped),
    dstRoutes: routeList(ip.dstRoutes, pair.client, client.dropped),
  };
}

function addressList(
  texts: readonly string[],
  own: IpAddress,
  pool: PairPool,
): { readonly kept: readonly string[]; readonly dropped: readonly IpAddress[] } {
  const isOthers = (text: string): boolean => {
    const address = addressOf(text);
    return !sameAddress(address, own) && pool.contains(address);
  };
  const kept = texts.filter((text) => !isOthers(text));
  const isThere = kept.some((text) => sameAddress(addressOf(text), own));
  return {
    kept: isThere ? kept : [...kept, formatPrefix(hostPrefix(own))],
    dropped: texts.filter(isOthers).map(addressOf),
  };
}

function routeList(routes: readonly Route[], to: IpAddress, dropped: readonly IpAddress[]): readonly Route[] {
  const gone = new Set(dropped.map((address) => formatPrefix(hostPrefix(address))));
  const textOf = (route: Route): string => formatPrefix(parsePrefixOrAddress(route.prefix));
  const kept = gone.size === 0 ? routes : routes.filter((route) => !gone.has(textOf(route)));
  const prefix = formatPrefix(hostPrefix(to));
  return kept.some((route) => textOf(route) === prefix) ? kept : [...kept, Route.create({ prefix })];
}

function addressOf(text: string): IpAddress {
  return parsePrefixOrAddress(text).address;
}
