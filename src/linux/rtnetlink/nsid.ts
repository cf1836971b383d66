import { Code, codeOf, NsmError } from "../../core/index.js";
import { attributes, u32 } from "../netlink/attributes.js";
import { currentNamespace, type NetworkNamespace } from "../namespace.js";
import {
  byName,
  decodeLink,
  type Link,
  linkHeader,
  RTM_DELLINK,
  RTM_GETLINK,
  withoutStatistics,
} from "./link-codec.js";
import type { LinkRef } from "./links.js";
import { routeSocket } from "./netlink.js";

const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const IFLA_TARGET_NETNSID = 46;
/** The value of a namespace without an id. In a request: any free id. */
const NO_ID = -1;
/** struct rtgenmsg, padded. */
const HEADER = Buffer.alloc(4);

/**
 * Returns the id by which the namespace of this thread knows another one. Assigns an id if there is none. An id
 * does not keep the namespace alive: it is free again once the namespace has ended. It outlives this process.
 *
 * Source: linux/net_namespace.h, as in `ip netns set`.
 */
export async function namespaceId({ fd }: NetworkNamespace): Promise<number> {
  const home = currentNamespace();
  const socket = routeSocket(home);
  const ofNamespace = u32(NETNSA_FD, fd);
  const read = async (): Promise<number> => {
    const request = { type: RTM_GETNSID, flags: 0, header: HEADER, attributes: [ofNamespace] };
    const [answer] = await socket.request("read a namespace id", request);
    const id = answer && attributes(answer.data.subarray(HEADER.length)).get(NETNSA_NSID);
    return id?.readInt32LE() ?? NO_ID;
  };
  try {
    const known = await read();
    if (known !== NO_ID) return known;
    const request = {
      type: RTM_NEWNSID,
      flags: 0,
      header: HEADER,
      attributes: [ofNamespace, u32(NETNSA_NSID, NO_ID)],
    };
    try {
      await socket.request("assign a namespace id", request);
    } catch (error) {
      // Another process has assigned one in the meantime.
      if (codeOf(error) !== Code.AlreadyExists) throw error;
    }
    return await read();
  } finally {
    home.close();
  }
}

/** The links of a namespace that is known by its id. */
export interface NamespaceById {
  /** Returns a link. Throws NOT_FOUND if it does not exist, or if the namespace has ended. */
  link(link: LinkRef): Promise<Link>;
  /** Deletes a link. It takes the kernel about 20 ms, without blocking the event loop. */
  deleteLink(index: number): Promise<void>;
  close(): void;
}

/**
 * Reaches a namespace without a descriptor of it, by the id that {@link namespaceId} returned to a thread in the
 * same namespace.
 */
export function namespaceById(id: number): NamespaceById {
  const home = currentNamespace();
  const socket = routeSocket(home);
  const target = u32(IFLA_TARGET_NETNSID, id);
  return {
    async link(link) {
      const named = typeof link === "string";
      const action = `find link ${link} of namespace ${id}`;
      try {
        const [found] = await socket.request(action, {
          type: RTM_GETLINK,
          flags: 0,
          header: linkHeader(named ? {} : { index: link }),
          attributes: [target, withoutStatistics, ...(named ? [byName(link)] : [])],
        });
        return decodeLink(found!);
      } catch (error) {
        // The kernel rejects an id that is free.
        if (codeOf(error) !== Code.InvalidArgument) throw error;
        throw new NsmError(Code.NotFound, `cannot ${action}: the namespace has ended`, { cause: error });
      }
    },
    async deleteLink(index) {
      const request = { type: RTM_DELLINK, flags: 0, header: linkHeader({ index }), attributes: [target] };
      await socket.longRequest(`delete link ${index} of namespace ${id}`, request);
    },
    close: () => home.close(),
  };
}
