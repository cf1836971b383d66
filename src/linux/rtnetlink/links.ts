import { Code, NsmError } from "../../core/index.js";
import type { Attribute } from "../netlink/attributes.js";
import { type Message, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.js";
import type { NetlinkSocket } from "../netlink/socket.js";
import { undoing } from "../undo.js";
import {
  byName,
  decodeLink,
  decodeStatistics,
  type Link,
  linkAttributes,
  linkHeader,
  linkKind,
  type LinkProperties,
  type LinkStatistics,
  RTM_GETLINK,
  RTM_NEWLINK,
  withoutStatistics,
} from "./link-codec.js";
import { linkRemoval } from "./link-removal.js";

/** A link by its name or its index; the index saves a question to the kernel and survives a rename. */
export type LinkRef = string | number;

/** What is to be changed of a link; what is left out stays. */
export interface LinkChange extends LinkProperties {
  /** A new name. */
  readonly name?: string;
  /** Index of the bridge to become a port of; 0 leaves it. */
  readonly master?: number;
}

/** A link that is to be made. */
export interface NewLink extends LinkProperties {
  readonly name: string;
  /** `bridge`, `vxlan`, `ifb` … For a veth pair see createVeth(). */
  readonly kind: string;
  /** The kind's own options, encoded. */
  readonly options?: readonly Attribute[];
}

/** The links of one namespace. */
export interface Links {
  /** NOT_FOUND when there is none. */
  link(link: LinkRef): Promise<Link>;
  links(): Promise<readonly Link[]>;
  /** The link with exactly this alias, or undefined: how a restarted program finds what it had made. */
  linkByAlias(alias: string): Promise<Link | undefined>;
  /** ALREADY_EXISTS when the name is taken, UNIMPLEMENTED when this kernel has no such kind. */
  createLink(link: NewLink): Promise<Link>;
  /** Only what is given is changed. */
  setLink(link: LinkRef, change: LinkChange): Promise<void>;
  /**
   * Removes a link, and with a veth its other end. Takes the kernel about 20 ms, in which the event loop
   * goes on; links of one namespace that wait for it at the same time are removed together.
   * NOT_FOUND when there is none.
   */
  deleteLink(link: LinkRef): Promise<void>;
  /** Packets, bytes, errors and drops since the link was made. */
  linkStatistics(link: LinkRef): Promise<LinkStatistics>;
}

export function links(socket: NetlinkSocket): Links {
  const remove = linkRemoval(socket);

  async function read(link: LinkRef, extra: readonly Attribute[]): Promise<Message> {
    const [message] = await socket.request(`find link ${link}`, {
      type: RTM_GETLINK,
      flags: 0,
      ...target(link, extra),
    });
    if (!message) throw new NsmError(Code.Internal, `the kernel did not describe link ${link}`);
    return message;
  }

  const operations: Links = {
    link: async (link) => decodeLink(await read(link, [withoutStatistics])),
    async links() {
      const request = { type: RTM_GETLINK, flags: 0, header: linkHeader(), attributes: [withoutStatistics] };
      return (await socket.dump("list links", request)).map(decodeLink);
    },
    async linkByAlias(alias) {
      return (await operations.links()).find((link) => link.alias === alias);
    },
    async createLink({ name, kind, options, alias, up, ...properties }) {
      const attributes = [byName(name), ...linkAttributes(properties), linkKind(kind, options)];
      await requestNewLink(socket, { kind, action: `create ${kind} ${name}`, up, attributes });
      return undoing(
        async () => {
          if (alias !== undefined) await operations.setLink(name, { alias }); // the kernel takes none at creation
          return operations.link(name);
        },
        () => operations.deleteLink(name),
      );
    },
    async setLink(link, { name, up, ...change }) {
      const index = await linkIndex(operations, link);
      const attributes = [...(name === undefined ? [] : [byName(name)]), ...linkAttributes(change)];
      const request = { type: RTM_NEWLINK, flags: 0, header: linkHeader({ index, up }), attributes };
      const action = `change link ${link}`;
      // Taking a link down waits for the packets on their way through it.
      await (up === false ? socket.longRequest(action, request) : socket.request(action, request));
    },
    deleteLink: async (link) => remove(await linkIndex(operations, link)),
    linkStatistics: async (link) => decodeStatistics(await read(link, [])),
  };
  return operations;
}

/** The index behind a reference; NOT_FOUND when no link has the name. */
export async function linkIndex(links: Pick<Links, "link">, link: LinkRef): Promise<number> {
  return typeof link === "number" ? link : (await links.link(link)).index;
}

/** Sends a request that makes a link, and says what is missing when the kernel does not know the kind. */
export async function requestNewLink(
  socket: NetlinkSocket,
  link: { kind: string; action: string; up: boolean | undefined; attributes: readonly Attribute[] },
): Promise<void> {
  const { kind, action, up, attributes } = link;
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  try {
    await socket.request(action, { type: RTM_NEWLINK, flags, header: linkHeader({ up }), attributes });
  } catch (error) {
    if (!(error instanceof NsmError) || error.code !== Code.Unimplemented) throw error;
    throw new NsmError(Code.Unimplemented, `cannot ${action}: this kernel has no ${kind} links`, {
      cause: error,
    });
  }
}

function target(link: LinkRef, extra: readonly Attribute[]) {
  return typeof link === "number"
    ? { header: linkHeader({ index: link }), attributes: extra }
    : { header: linkHeader(), attributes: [byName(link), ...extra] };
}
