/**
 * Typed access to the Linux network stack: namespaces, and their links, addresses, routes, rules, neighbors
 * and packet filter. It runs in process and needs only the privileges that the kernel requires. Importing it
 * needs no native module; the first use loads koffi.
 *
 * @packageDocumentation
 */
export { currentNamespace, newNamespace, openNamespace, type NetworkNamespace } from "./namespace.js";
export { allowPing, enableIpv6, readSysctl, writeSysctl } from "./sysctl.js";

// Links, addresses, routes, rules, neighbors
export { netlinkIn, type Netlink } from "./rtnetlink/netlink.js";
export { namespaceById, namespaceId, type NamespaceById } from "./rtnetlink/nsid.js";
export { createVeth, type VethEnd, type VethPair } from "./rtnetlink/veth.js";
export type { Link, LinkProperties, LinkStatistics, TrafficCounters } from "./rtnetlink/link-codec.js";
export type { LinkChange, LinkRef, Links, NewLink } from "./rtnetlink/links.js";
export type { Address, Addresses } from "./rtnetlink/addresses.js";
export { localTable, mainTable } from "./rtnetlink/routes.js";
export type { ListedRoute, Route, Routes } from "./rtnetlink/routes.js";
export type { PortRange, Rule, Rules } from "./rtnetlink/rules.js";
export type { ListedNeighbor, Neighbor, Neighbors, NeighborState } from "./rtnetlink/neighbors.js";
export type { Scope } from "./rtnetlink/scope.js";

// Descriptors over unix sockets
export { inodeUrlOf } from "./sockets/file-id.js";

// Sockets and probes in a namespace
export { ping, type PingOptions, type PingResult } from "./sockets/ping.js";
export { connectIn, listenIn, tcpConnect, tcpListen } from "./sockets/tcp.js";
export type { ConnectOptions, TcpListener, TcpOutcome } from "./sockets/tcp.js";
export { udpEcho, udpProbe, type UdpEcho, type UdpOutcome } from "./sockets/udp.js";
export type { Endpoint } from "./sockets/open.js";
export type { WaitOptions } from "./sockets/until.js";

export { preflight, type PreflightCheck } from "./preflight.js";

export { SystemCallError } from "./errno.js";
