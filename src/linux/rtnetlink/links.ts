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

/** A link by name or by index. An index saves a lookup and survives a rename. */
export type LinkRef = string | number;

/** Changes to a link. Omitted properties stay unchanged. */
export interface LinkChange extends LinkProperties {
  /** A new name. */
  readonly name?: string;
  /** Index of the bridge to attach to. 0 detaches the link. */
  readonly master?: number;
}

/** A link to create. */
export interface NewLink extends LinkProperties {
  readonly name: string;
  /** `bridge`, `vxlan`, `ifb` …. For a veth pair, use createVeth(). */
  readonly kind: string;
  /** Encoded options of this kind. */
  readonly options?: readonly Attribute[];
}

/** The links of one namespace. */
export interface Links {
  /** Returns a link. Throws NOT_FOUND if it does not exist. */
  link(link: LinkRef): Promise<Link>;
  links(): Promise<readonly Link[]>;
  /** The link with exactly this alias, or undefined. A restarted program finds its links this way. */
  linkByAlias(alias: string): Promise<Link | undefined>;
  /**
   * Creates a link. Throws ALREADY_EXISTS if the name is taken, UNIMPLEMENTED if the kernel lacks this kind.
   */
  createLink(link: NewLink): Promise<Link>;
  /** Changes only the given properties. */
  setLink(link: LinkRef, change: LinkChange): Promise<void>;
  /**
   * Deletes a link; deleting one end of a veth also deletes the other. It takes the kernel about 20 ms,
   * without blocking the event loop. Concurrent deletions in one namespace run together. Throws NOT_FOUND if
   * the link does not exist.
   */
  deleteLink(link: LinkRef): Promise<void>;
  /** Packets, bytes, errors and drops since the link was created. */
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
      // Taking a link down waits for packets in transit.
      await (up === false ? socket.longRequest(action, request) : socket.request(action, request));
    },
    deleteLink: async (link) => remove(await linkIndex(operations, link)),
    linkStatistics: async (link) => decodeStatistics(await read(link, [])),
  };
  return operations;
}

/** Resolves a reference to an index. Throws NOT_FOUND if no link has the name. */
export async function linkIndex(links: Pick<Links, "link">, link: LinkRef): Promise<number> {
  return typeof link === "number" ? link : (await links.link(link)).index;
}

/** Sends a request that creates a link. Explains the error if the kernel does not support the kind. */
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
