import { type Attribute, attributes, bytes, nested, text, textOf, u32 } from "../netlink/attributes.js";
import type { Message } from "../netlink/message.js";
import { macText, parseMac } from "../ip-text.js";
import { assertAlias, assertLinkName, assertRange } from "./link-name.js";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  IFALIAS: 20,
  STATS64: 23,
  GROUP: 27,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  LINK_NETNSID: 37,
} as const;
const INFO_KIND = 1;
const INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const SKIP_STATISTICS = 8;

const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;

/** A network interface as listed by the kernel. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `vxlan` …. Undefined for physical devices and loopback. */
  readonly kind: string | undefined;
  readonly alias: string | undefined;
  readonly mtu: number;
  /** `02:00:00:00:00:01`; undefined for links without a MAC address. */
  readonly mac: string | undefined;
  /** Whether it is administratively up. */
  readonly up: boolean;
  /** Whether both this link and its peer are up. */
  readonly carrier: boolean;
  readonly group: number;
  /** Index of the bridge that the link is attached to. */
  readonly master: number | undefined;
  /** For a veth: the index of its peer, in the peer's namespace. */
  readonly peerIndex: number | undefined;
  /** Whether the peer is in another namespace. */
  readonly peerElsewhere: boolean;
}

/** Counters of a link since its creation. */
export interface LinkStatistics {
  readonly rx: TrafficCounters;
  readonly tx: TrafficCounters;
}

/** Counters of one direction of a link. */
export interface TrafficCounters {
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  readonly dropped: number;
}

/** Properties that can be set when a link is created, and changed later. */
export interface LinkProperties {
  /** Free text of up to 255 bytes. A restarted program can find the link by it. */
  readonly alias?: string;
  readonly mtu?: number;
  readonly mac?: string;
  readonly up?: boolean;
  /** A number shared by a group of links. Default: 0. */
  readonly group?: number;
}

/** ifinfomsg: the fixed header of link messages. */
export function linkHeader({ index = 0, up }: { index?: number; up?: boolean | undefined } = {}): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

export const byName = (name: string): Attribute => text(IFLA.IFNAME, assertLinkName(name));
export const byGroup = (group: number): Attribute => u32(IFLA.GROUP, group);
export const inNamespace = (fd: number): Attribute => u32(IFLA.NET_NS_FD, fd);
export const withoutStatistics = u32(IFLA.EXT_MASK, SKIP_STATISTICS);

/** Encodes the properties as attributes, except `up`, which is part of the header. */
export function linkAttributes(properties: LinkProperties & { master?: number }): Attribute[] {
  const { alias, mtu, mac, group, master } = properties;
  const list: Attribute[] = [];
  if (mac !== undefined) list.push(bytes(IFLA.ADDRESS, parseMac(mac)));
  if (mtu !== undefined) list.push(u32(IFLA.MTU, assertRange("MTU", mtu, 0, 0x7fffffff)));
  if (group !== undefined) list.push(u32(IFLA.GROUP, assertRange("link group", group, 0, 0xffffffff)));
  if (master !== undefined) list.push(u32(IFLA.MASTER, master));
  if (alias !== undefined) list.push(bytes(IFLA.IFALIAS, Buffer.from(assertAlias(alias))));
  return list;
}

/** Encodes the kind of a new link and the options of that kind. */
export function linkKind(kind: string, options: readonly Attribute[] = []): Attribute {
  return nested(IFLA.LINKINFO, text(INFO_KIND, kind), nested(INFO_DATA, ...options));
}

/** Encodes the veth option that describes the peer: a nested link message. */
export function vethPeer(header: Buffer, peer: readonly Attribute[]): Attribute {
  return nested(VETH_INFO_PEER, header, ...peer);
}

export function decodeLink({ data }: Message): Link {
  const found = attributes(data.subarray(16));
  const flags = data.readUInt32LE(8);
  const info = found.get(IFLA.LINKINFO);
  const kind = info && attributes(info).get(INFO_KIND);
  const alias = found.get(IFLA.IFALIAS);
  const mac = found.get(IFLA.ADDRESS);
  const name = found.get(IFLA.IFNAME);
  return {
    index: data.readInt32LE(4),
    name: name ? textOf(name) : "",
    kind: kind && textOf(kind),
    alias: alias && textOf(alias),
    mtu: found.get(IFLA.MTU)?.readUInt32LE() ?? 0,
    mac: mac && mac.length > 0 ? macText(mac) : undefined,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    group: found.get(IFLA.GROUP)?.readUInt32LE() ?? 0,
    master: found.get(IFLA.MASTER)?.readUInt32LE(),
    peerIndex: found.get(IFLA.LINK)?.readInt32LE(),
    peerElsewhere: found.has(IFLA.LINK_NETNSID),
  };
}

export function decodeStatistics({ data }: Message): LinkStatistics {
  const counters = attributes(data.subarray(16)).get(IFLA.STATS64);
  const at = (i: number) => (counters ? Number(counters.readBigUInt64LE(i * 8)) : 0);
  return {
    rx: { packets: at(0), bytes: at(2), errors: at(4), dropped: at(6) },
    tx: { packets: at(1), bytes: at(3), errors: at(5), dropped: at(7) },
  };
}
