import type { NetworkNamespace } from "../namespace.js";
import type { Attribute } from "../netlink/attributes.js";
import { undoing } from "../undo.js";
import {
  byName,
  inNamespace,
  type Link,
  linkAttributes,
  linkHeader,
  linkKind,
  type LinkProperties,
  vethPeer,
} from "./link-codec.js";
import { requestNewLink } from "./links.js";
import { netlinkIn, routeSocket } from "./netlink.js";

/** One end of a veth pair. */
export interface VethEnd extends LinkProperties {
  readonly namespace: NetworkNamespace;
  /** Name of the link, up to 15 bytes. ALREADY_EXISTS if the namespace has a link of that name. */
  readonly name: string;
}

/** The two ends of a new pair. */
export interface VethPair {
  readonly a: Link;
  readonly b: Link;
}

/**
 * Connects two namespaces (or one with itself) by a veth pair. One request creates both ends in their
 * namespaces: moving one there later would take the kernel about 15 ms. If anything fails, neither end
 * remains. Deleting one end deletes the other.
 *
 * @example
 * import { createVeth } from "nsm-sdk/linux";
 *
 * await createVeth({
 *   a: { namespace: namespaces.client, name: "nsm-1", alias: "server-1", mtu: 9000, up: true },
 *   b: { namespace: namespaces.endpoint, name: "fw-x7Kq", alias: "client-1", mtu: 9000, up: true },
 * });
 */
export async function createVeth({ a, b }: { a: VethEnd; b: VethEnd }): Promise<VethPair> {
  const [atA, atB] = [netlinkIn(a.namespace), netlinkIn(b.namespace)];
  await requestNewLink(routeSocket(a.namespace), {
    kind: "veth",
    action: `connect ${a.name} to ${b.name} of ${b.namespace.name} by a veth pair`,
    up: undefined,
    attributes: [...ending(a), linkKind("veth", [vethPeer(linkHeader(), ending(b))])],
  });
  return undoing(
    async () => {
      // While the pair is being created, the kernel accepts neither an alias nor "up" for one end.
      for (const { netlink, end } of [
        { netlink: atA, end: a },
        { netlink: atB, end: b },
      ]) {
        const { alias, up } = end;
        const change = { ...(alias !== undefined && { alias }), ...(up !== undefined && { up }) };
        if (Object.keys(change).length > 0) await netlink.setLink(end.name, change);
      }
      return { a: await atA.link(a.name), b: await atB.link(b.name) };
    },
    // Deleting either end deletes both. One of the namespaces may be closed by now.
    () => atA.deleteLink(a.name).catch(() => atB.deleteLink(b.name)),
  );
}

function ending({ name, namespace, alias: _alias, up: _up, ...properties }: VethEnd): Attribute[] {
  return [byName(name), inNamespace(namespace.fd), ...linkAttributes(properties)];
}
