import { AF_INET } from "../constants.js";
import { ipText, macText, parseIp, parseMac } from "../ip-text.js";
import { attributes, bytes, u32 } from "../netlink/attributes.js";
import { type Message, NLM_F_CREATE, NLM_F_REPLACE } from "../netlink/message.js";
import type { NetlinkSocket } from "../netlink/socket.js";
import { linkIndex, type LinkRef, type Links } from "./links.js";

const RTM_NEWNEIGH = 28;
const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const RTN_UNICAST = 1;

const states = {
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
} as const;

/** The kernel's state of a neighbor. A "permanent" neighbor is never probed and never expires. */
export type NeighborState = keyof typeof states;

/** A neighbor entry to add or change. */
export interface Neighbor {
  readonly link: LinkRef;
  readonly address: string;
  readonly mac: string;
  /** Default: "permanent". */
  readonly state?: "permanent" | "reachable";
}

/** A neighbor as listed by the kernel. */
export interface ListedNeighbor {
  readonly linkIndex: number;
  readonly address: string;
  /** Undefined until the kernel has resolved it. */
  readonly mac: string | undefined;
  readonly state: NeighborState;
}

/** The neighbor table of one namespace: maps IP addresses to MAC addresses (ARP, and NDP for IPv6). */
export interface Neighbors {
  /** Adds an entry, or replaces the entry of that address. */
  replaceNeighbor(neighbor: Neighbor): Promise<void>;
  /** Deletes an entry. Throws NOT_FOUND if it does not exist. */
  deleteNeighbor(neighbor: Pick<Neighbor, "link" | "address">): Promise<void>;
  neighbors(link?: LinkRef): Promise<readonly ListedNeighbor[]>;
}

export function neighbors(socket: NetlinkSocket, links: Links): Neighbors {
  return {
    async replaceNeighbor({ link, address, mac, state = "permanent" }) {
      const ip = parseIp(address);
      await socket.request(`set the neighbor ${address} of link ${link}`, {
        type: RTM_NEWNEIGH,
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        header: neighborHeader(ip.family, await linkIndex(links, link), states[state]),
        attributes: [bytes(NDA_DST, ip.bytes), bytes(NDA_LLADDR, parseMac(mac))],
      });
    },
    async deleteNeighbor({ link, address }) {
      const ip = parseIp(address);
      await socket.request(`delete the neighbor ${address} of link ${link}`, {
        type: RTM_DELNEIGH,
        flags: 0,
        header: neighborHeader(ip.family, await linkIndex(links, link), 0),
        attributes: [bytes(NDA_DST, ip.bytes)],
      });
    },
    async neighbors(link) {
      const header = neighborHeader(0, 0, 0, 0);
      const filter = link === undefined ? [] : [u32(NDA_IFINDEX, await linkIndex(links, link))];
      const request = { type: RTM_GETNEIGH, flags: 0, header, attributes: filter };
      return (await socket.dump("list neighbors", request)).map(decodeNeighbor);
    },
  };
}

/** ndmsg */
function neighborHeader(family: number, index: number, state: number, type: number = RTN_UNICAST): Buffer {
  const header = Buffer.alloc(12);
  header[0] = family;
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(state, 8);
  header[11] = type;
  return header;
}

export function decodeNeighbor({ data }: Message): ListedNeighbor {
  const found = attributes(data.subarray(12));
  const mac = found.get(NDA_LLADDR);
  const state = data.readUInt16LE(8);
  const known = (Object.entries(states) as [NeighborState, number][]).find(([, bit]) => (state & bit) !== 0);
  return {
    linkIndex: data.readInt32LE(4),
    address: ipText(found.get(NDA_DST) ?? Buffer.alloc(data[0] === AF_INET ? 4 : 16)),
    mac: mac && macText(mac),
    state: known ? known[0] : "incomplete",
  };
}
