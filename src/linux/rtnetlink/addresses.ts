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
  /** With its prefix length: `10.0.0.1/24`. */
  readonly address: string;
  readonly family: 4 | 6;
  readonly linkIndex: number;
  readonly scope: Scope;
  /** IPv6: not usable yet, because the kernel still asks whether somebody else has it. */
  readonly tentative: boolean;
  /** IPv6: somebody else has it; it stays unusable. */
  readonly duplicate: boolean;
}

/** The addresses of one namespace. */
export interface Addresses {
  /**
   * Gives a link an address (`10.0.0.1/24`; without length that of a host). One that is there already is
   * no error. IPv6 addresses are not probed for duplicates: nobody else is on a point-to-point wire.
   */
  addAddress(link: LinkRef, address: string): Promise<void>;
  /** NOT_FOUND when the link does not have it. */
  removeAddress(link: LinkRef, address: string): Promise<void>;
  /**
   * Waits until the IPv6 addresses of a link answer. The kernel sees to that some milliseconds after they were
   * given; a first packet that comes before costs its sender a second.
   * DEADLINE_EXCEEDED after `timeoutMs` (default 2000); an abort throws the signal's reason.
   */
  addressesUsable(link: LinkRef, patience?: WaitOptions): Promise<void>;
  /** Those of a link, or of all; the kernel's own link-local ones are among them, with scope "link". */
  addresses(link?: LinkRef): Promise<readonly Address[]>;
}

export function addresses(socket: NetlinkSocket, links: Links, routes: OwnRoutes): Addresses {
  const operations: Addresses = {
    async addAddress(link, address) {
      const ip = parseIp(address);
      const header = addressHeader(ip, await linkIndex(links, link));
      const flags = IFA_F_PERMANENT | (ip.family === AF_INET6 ? IFA_F_NODAD : 0);
      await socket.request(`give link ${link} the address ${address}`, {
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
      const action = `take the address ${address} from link ${link}`;
      try {
        await socket.request(action, { type: RTM_DELADDR, flags: 0, header, attributes });
      } catch (error) {
        // "Address not available" says that an address cannot be given; here, that it never was.
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
          // The kernel routes an address to itself as the last step of taking it into use.
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
  // On a link with a fixed other end IFA_ADDRESS is that end's; the link's own is then IFA_LOCAL.
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
