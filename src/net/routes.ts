import type { IPContext, Route } from "../api/index.js";
import {
  formatPrefix,
  hostPrefix,
  networkOf,
  parsePrefix,
  parsePrefixOrAddress,
  prefixHas,
  type Prefix,
} from "./prefix.js";
import { parseAddress, type IpAddress } from "./address.js";

/** Which end of a vWire: the client ("src" in messages) or the endpoint ("dst"). */
export type Side = "client" | "endpoint";

/** A route for the kernel. Without `via`, the destination is on-link. */
export interface IpRoute {
  readonly destination: Prefix;
  readonly via: IpAddress | undefined;
}

/** The addresses of one end of the vWire, with their prefix lengths. */
export function addressesOf(ip: IPContext, side: Side): readonly Prefix[] {
  return (side === "client" ? ip.srcIpAddrs : ip.dstIpAddrs)
    .filter((text) => text !== "")
    .map(parsePrefixOrAddress);
}

/**
 * The routes that one end of the vWire needs. Routes to the peer's own addresses come first; each destination
 * appears once. A peer address outside all own networks gets a route of its own.
 *
 * A route without a next hop goes through the peer's first address of its family. It is on-link if its
 * address lies in one of the peer's networks.
 *
 * @throws NsmError INVALID_ARGUMENT for an invalid address, prefix or next hop
 */
export function routesOf(ip: IPContext, side: Side): readonly IpRoute[] {
  const own = addressesOf(ip, side);
  const peers = addressesOf(ip, side === "client" ? "endpoint" : "client");
  const toPeers = peers
    .filter((peer) => !own.some((prefix) => prefixHas(prefix, peer.address)))
    .map((peer) => ({ destination: hostPrefix(peer.address), via: undefined }));
  const given = (side === "client" ? ip.srcRoutes : ip.dstRoutes).map((route) => resolve(route, peers));

  const byDestination = new Map<string, IpRoute>();
  for (const route of [...toPeers, ...given]) {
    const key = formatPrefix(route.destination);
    if (!byDestination.has(key)) byDestination.set(key, route);
  }
  return [...byDestination.values()];
}

function resolve(route: Route, peers: readonly Prefix[]): IpRoute {
  const prefix = parsePrefix(route.prefix);
  const destination = networkOf(prefix);
  if (route.nextHop) return { destination, via: parseAddress(route.nextHop) };
  const onTheWire = peers.some((peer) => prefixHas(peer, prefix.address));
  const gateway = peers.find((peer) => peer.address.family === prefix.address.family);
  return { destination, via: onTheWire ? undefined : gateway?.address };
}
