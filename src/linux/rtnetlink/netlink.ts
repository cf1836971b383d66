import type { NetworkNamespace } from "../namespace.js";
import { NETLINK_ROUTE } from "../netlink/open.js";
import { type NetlinkSocket, netlinkSocket } from "../netlink/socket.js";
import { addresses, type Addresses } from "./addresses.js";
import { links, type Links } from "./links.js";
import { neighbors, type Neighbors } from "./neighbors.js";
import { ownRoutes, routes, type Routes } from "./routes.js";
import { rules, type Rules } from "./rules.js";

/** Links, addresses, routes, rules and neighbors of one namespace. */
export interface Netlink extends Links, Addresses, Routes, Rules, Neighbors {
  readonly namespace: NetworkNamespace;
}

const opened = new WeakMap<NetworkNamespace, { socket: NetlinkSocket; netlink: Netlink }>();

/**
 * The network configuration of a namespace. The first call opens it, later calls return the same object, and
 * closing the namespace closes it. It works without entering the namespace again, even after its last process
 * has exited.
 *
 * @throws NsmError FAILED_PRECONDITION if the namespace object is closed
 * @example
 * import { netlinkIn, openNamespace } from "nsm-sdk/linux";
 *
 * const netlink = netlinkIn(openNamespace("/var/run/netns/red"));
 * await netlink.addAddress("nsm-1", "172.16.1.101/32");
 * await netlink.replaceRoute({ destination: "172.16.1.100/32", link: "nsm-1" });
 */
export function netlinkIn(namespace: NetworkNamespace): Netlink {
  return open(namespace).netlink;
}

/** The route socket behind {@link netlinkIn}, for requests that span two namespaces. */
export function routeSocket(namespace: NetworkNamespace): NetlinkSocket {
  return open(namespace).socket;
}

function open(namespace: NetworkNamespace) {
  const known = opened.get(namespace);
  if (known && !namespace.closed) return known;
  const socket = netlinkSocket(namespace, NETLINK_ROUTE);
  const ofLinks = links(socket);
  const netlink: Netlink = {
    namespace,
    ...ofLinks,
    ...addresses(socket, ofLinks, ownRoutes(socket)),
    ...routes(socket, ofLinks),
    ...rules(socket),
    ...neighbors(socket, ofLinks),
  };
  const entry = { socket, netlink };
  opened.set(namespace, entry);
  return entry;
}
