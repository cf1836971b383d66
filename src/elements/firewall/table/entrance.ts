import {
  counter,
  drop,
  foreignSource,
  icmp,
  icmpv6,
  ip6,
  leave,
  rule,
  setCtZone,
  type Chain,
} from "../../../linux/nftables/index.js";
import { parseAddress } from "../../../net/index.js";
import type { TableEntry } from "./memory.js";

/** Neighbor discovery (RFC 4861) and multicast listener reports (RFC 3810), without router messages. */
export const neighborDiscovery = ["130-132", "135-136", 143];
export const routerSolicitation = 133;
const routerAdvertisement = 134;
const redirect6 = 137;
const redirect4 = 5;

export interface EntranceOptions {
  readonly interfaces: readonly TableEntry[];
  readonly allowForeignSources?: boolean | undefined;
  readonly counters: { readonly foreign: string; readonly denied: string };
}

/**
 * The chain for packets from clients, before connection tracking. A client cannot give routes to the endpoint
 * and cannot use the addresses of others. Its connections are tracked separately from those of other clients.
 */
export function entrance({ interfaces, allowForeignSources = false, counters }: EntranceOptions): Chain {
  const denied = [counter(counters.denied), drop()];
  return {
    name: "entrance",
    rules: [
      rule([icmpv6("type").eq(routerSolicitation), drop()]),
      rule([icmpv6("type").in([routerAdvertisement, redirect6]), ...denied]),
      rule([icmp("type").eq(redirect4), ...denied]),
      ...(allowForeignSources ? [] : ownSources(interfaces, counters.foreign)),
      ...(interfaces.length > 0
        ? [rule([setCtZone(new Map(interfaces.map(({ name, id }) => [name, id])))])]
        : []),
    ],
  };
}

function ownSources(interfaces: readonly TableEntry[], foreign: string) {
  const pairs = (version: 4 | 6) =>
    interfaces.flatMap(({ name: link, sources }) =>
      sources
        .filter((source) => parseAddress(source).family === version)
        .map((address) => ({ link, address })),
    );
  return [
    rule([icmpv6("type").in(neighborDiscovery), ip6("saddr").in(["fe80::/10", "::"]), leave()]),
    rule([foreignSource(4, pairs(4)), counter(foreign), drop()]),
    rule([foreignSource(6, pairs(6)), counter(foreign), drop()]),
  ];
}
