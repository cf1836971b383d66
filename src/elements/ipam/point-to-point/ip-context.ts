import { Route, type IPContext } from "../../../api/index.js";
import {
  formatPrefix,
  hostPrefix,
  parsePrefixOrAddress,
  sameAddress,
  type AddressSet,
  type IpAddress,
} from "../../../net/index.js";
import type { Brought, Pair } from "./pair-pool.js";

/** The addresses of both ends in an IP context. */
export function addressesIn({ srcIpAddrs, dstIpAddrs }: IPContext): Brought {
  return { client: srcIpAddrs.map(addressOf), endpoint: dstIpAddrs.map(addressOf) };
}

/**
 * The changes of an IP context for a connection that gets this pair. The addresses of the pair and the routes
 * to them are present once. Other addresses, and the routes to and through them, are removed unless they belong
 * to `others`.
 */
export function addressedWith(ip: IPContext, pair: Pair, others: AddressSet): Partial<IPContext> {
  const client = addressList(ip.srcIpAddrs, pair.client, others);
  const endpoint = addressList(ip.dstIpAddrs, pair.endpoint, others);
  return {
    srcIpAddrs: client.kept,
    dstIpAddrs: endpoint.kept,
    // Each end needs a route to the other end's address.
    srcRoutes: routeList(ip.srcRoutes, pair.endpoint, endpoint.dropped),
    dstRoutes: routeList(ip.dstRoutes, pair.client, client.dropped),
  };
}

function addressList(
  texts: readonly string[],
  own: IpAddress,
  others: AddressSet,
): { readonly kept: readonly string[]; readonly dropped: readonly IpAddress[] } {
  const stays = (text: string): boolean => {
    const address = addressOf(text);
    return sameAddress(address, own) || others.has(address);
  };
  const kept = texts.filter(stays);
  const isThere = kept.some((text) => sameAddress(addressOf(text), own));
  return {
    kept: isThere ? kept : [...kept, formatPrefix(hostPrefix(own))],
    dropped: texts.filter((text) => !stays(text)).map(addressOf),
  };
}

function routeList(routes: readonly Route[], to: IpAddress, dropped: readonly IpAddress[]): readonly Route[] {
  const gone = new Set(dropped.map((address) => formatPrefix(hostPrefix(address))));
  const textOf = (text: string): string => formatPrefix(parsePrefixOrAddress(text));
  const stays = ({ prefix, nextHop }: Route): boolean =>
    !gone.has(textOf(prefix)) && !(nextHop && gone.has(textOf(nextHop)));
  const kept = gone.size === 0 ? routes : routes.filter(stays);
  const prefix = formatPrefix(hostPrefix(to));
  return kept.some((route) => textOf(route.prefix) === prefix) ? kept : [...kept, Route.create({ prefix })];
}

function addressOf(text: string): IpAddress {
  return parsePrefixOrAddress(text).address;
}
