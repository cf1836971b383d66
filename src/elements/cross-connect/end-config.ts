import { Payload, type Connection } from "../../api/index.js";
import { Code, NsmError } from "../../core/index.js";
import type { Neighbor, Route } from "../../linux/index.js";
import {
  addressesOf,
  formatAddress,
  formatPrefix,
  networkOf,
  parseAddress,
  parsePrefix,
  routesOf,
  type Side,
} from "../../net/index.js";

/** The configuration of one interface. Addresses are in their shortest form. */
export interface EndConfig {
  /** 0 keeps the current MTU. */
  readonly mtu: number;
  readonly addresses: readonly string[];
  readonly routes: readonly Omit<Route, "link">[];
  readonly neighbors: readonly Omit<Neighbor, "link">[];
}

/**
 * The configuration of one end, from the connection's context. `peerMac` is the MAC address of the other end.
 * With payload IP there is no address resolution, so the other end's addresses become permanent neighbors.
 *
 * @throws NsmError INVALID_ARGUMENT for an invalid address, prefix or next hop, UNIMPLEMENTED for routing
 * policies.
 */
export function endConfig({ context, payload }: Connection, side: Side, peerMac: string): EndConfig {
  const mtu = context?.MTU ?? 0;
  const ip = context?.ipContext;
  if (!ip) return { mtu, addresses: [], routes: [], neighbors: [] };
  if (ip.policies.length > 0) {
    throw new NsmError(
      Code.Unimplemented,
      `the connection's context has ${ip.policies.length} routing policies, which this forwarder does not support`,
    );
  }

  const given = new Set(
    (side === "client" ? ip.srcRoutes : ip.dstRoutes).map(({ prefix }) =>
      formatPrefix(networkOf(parsePrefix(prefix))),
    ),
  );
  const routes = routesOf(ip, side).map(({ destination, via }): Omit<Route, "link"> => {
    const text = formatPrefix(destination);
    const scope = via || given.has(text) ? "universe" : "link";
    return { destination: text, scope, ...(via && { gateway: formatAddress(via) }) };
  });

  const neighbors = new Map<string, Omit<Neighbor, "link">>();
  for (const { ip: text, hardwareAddress } of ip.ipNeighbors) {
    const address = formatAddress(parseAddress(text));
    neighbors.set(address, { address, mac: hardwareAddress.toLowerCase(), state: "reachable" });
  }
  if (payload === Payload.Ip) {
    for (const peer of addressesOf(ip, side === "client" ? "endpoint" : "client")) {
      const address = formatAddress(peer.address);
      neighbors.set(address, { address, mac: peerMac, state: "permanent" });
    }
  }
  const addresses = addressesOf(ip, side).map(formatPrefix);
  return { mtu, addresses: [...new Set(addresses)], routes, neighbors: [...neighbors.values()] };
}
