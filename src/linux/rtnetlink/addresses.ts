import { Code, codeOf, NsmError } from "../../core/index.js";
import { attributes, bytes, u32 } from "../netlink/attributes.js";
import { type Message, NLM_F_CREATE, NLM_F_REPLACE } from "../netlink/message.js";
import type { NetlinkSocket } from "../netlink/socket.js";
import { AF_INET, AF_INET6 } from "../constants.js";
import { type IpBytes, ipText, parseIp } from "../ip-text.js";
import type { WaitOptions } from "../sockets/until.js";
import { linkIndex, type LinkRef, type Links } from "./links.js";
import type { OwnRoutes } from "./routes.js";
import { type Scope, scopeName } from "./scope.js";
import { untilUsable } from "./usable.js";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;

const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_PERMANENT = 0x80;

/** An address of a link. */
export interface Address {
  /** The address with its prefix length: `10.0.0.1/24`. */
  readonly address: string;
  readonly family: 4 | 6;
  readonly linkIndex: number;
  readonly scope: Scope;
  /** IPv6: not usable yet, because duplicate address detection is still running. */
  readonly tentative: boolean;
  /** IPv6: another host uses this address, so it stays unusable. */
  readonly duplicate: boolean;
}

/** The addresses of one namespace. */
export interface Addresses {
  /**
   * Adds an address to a link (`10.0.0.1/24`). Default prefix length: a single host. An existing
   * address is not an error. Duplicate address detection is skipped: a point-to-point link has no other
   * hosts.
   */
  addAddress(link: LinkRef, address: string): Promise<void>;
  /** Removes an address from a link. Throws NOT_FOUND if the link does not have it. */
  removeAddress(link: LinkRef, address: string): Promise<void>;
  /**
   * Waits until the IPv6 addresses of a link are usable. The kernel needs some milliseconds after adding
   * them; a packet sent earlier is delayed by a second.
   *
   * Throws DEADLINE_EXCEEDED after `timeoutMs` (default: 2,000). An abort throws the signal's reason.
   */
  addressesUsable(link: LinkRef, patience?: WaitOptions): Promise<void>;
  /**
   * The addresses of a link, or of all links. Includes the kernel's link-local addresses, with scope "link".
   */
  addresses(link?: LinkRef): Promise<readonly Address[]>;
}

export function addresses(socket: NetlinkSocket, links: Links, routes: OwnRoutes): Addresses {
  const operations: Addresses = {
    async addAddress(link, address) {
      const ip = parseIp(address);
      const header = addressHeader(ip, await linkIndex(links, link));
      const flags = IFA_F_PERMANENT | (ip.family === AF_INET6 ? IFA_F_NODAD : 0);
      await socket.request(`add the address ${address} to link ${link}`, {
        type: RTM_NEWADDR,
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        header,
        attributes: [bytes(IFA_LOCAL, ip.bytes), bytes(IFA_ADDRESS, ip.bytes), u32(IFA_FLAGS, flags)],
      });
    },
    async removeAddress(link, address) {
      const ip = parseIp(address);
      const header = addressHeader(ip, await linkIndex(links, link));
      const attributes = [bytes(IFA_LOCAL, ip.bytes), bytes(IFA_ADDRESS, ip.bytes)];
      const action = `remove the address ${address} from link ${link}`;
      try {
        await socket.request(action, { type: RTM_DELADDR, flags: 0, header, attributes });
      } catch (error) {
        // The kernel's "address not available" means that the link does not have this address.
        if (codeOf(error) !== Code.InvalidArgument) throw error;
        throw new NsmError(Code.NotFound, `link ${link} does not have the address ${address}`, {
          cause: error,
        });
      }
    },
    async addressesUsable(link, patience = {}) {
      const index = await linkIndex(links, link);
      await untilUsable(
        socket.namespace,
        async () => {
          const given = (await operations.addresses(index)).filter(
            ({ family, scope }) => family === 6 && scope !== "link",
          );
          // An address is usable once the kernel has added its local route, the last step.
          const local = new Set((await routes.localRoutes(index)).map(({ destination }) => destination));
          return given
            .map(({ address }) => address)
            .filter((address) => !local.has(address.replace(/\/\d+$/, "/128")));
        },
        patience,
      );
    },
    async addresses(link) {
      const header = Buffer.alloc(8);
      if (link !== undefined) header.writeUInt32LE(await linkIndex(links, link), 4);
      return (await socket.dump("list addresses", { type: RTM_GETADDR, flags: 0, header })).map(
        decodeAddress,
      );
    },
  };
  return operations;
}

/** ifaddrmsg */
function addressHeader({ family, length }: IpBytes, index: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = family;
  header[1] = length;
  header.writeUInt32LE(index, 4);
  return header;
}

export function decodeAddress({ data }: Message): Address {
  const found = attributes(data.subarray(8));
  const flags = found.get(IFA_FLAGS)?.readUInt32LE() ?? data[2]!;
  // On a point-to-point link, IFA_ADDRESS is the peer's address and IFA_LOCAL the link's own.
  const address =
    found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS) ?? Buffer.alloc(data[0] === AF_INET ? 4 : 16);
  return {
    address: `${ipText(address)}/${data[1]}`,
    family: data[0] === AF_INET ? 4 : 6,
    linkIndex: data.readUInt32LE(4),
    scope: scopeName(data[3]!),
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    duplicate: (flags & IFA_F_DADFAILED) !== 0,
  };
}
