import type { Connection } from "../../../api/index.js";
import { Code, NsmError } from "../../../core/index.js";
import { netlinkIn, type Link, type NetworkNamespace } from "../../../linux/index.js";
import type { Route } from "../traffic/packets.js";

/** One end of the vWire, as the kernel reports it. */
export interface VWireEnd {
  /** The process that owns this end. */
  readonly process: string;
  readonly namespace: string;
  readonly interfaceName: string;
  readonly index: number;
  /** The address with its prefix length. */
  readonly address: string;
  readonly mac: string;
  readonly mtu: number;
}

/** The interfaces of a namespace except loopback. */
export async function interfacesIn(namespace: NetworkNamespace): Promise<readonly Link[]> {
  return (await netlinkIn(namespace).links()).filter(({ name }) => name !== "lo");
}

/** The single vWire end in a namespace. */
export async function endOf(process: string, namespace: NetworkNamespace): Promise<VWireEnd> {
  const links = await interfacesIn(namespace);
  const [link] = links;
  if (!link || links.length > 1) {
    const found = links.map(({ name }) => name).join(", ") || "none";
    throw new NsmError(Code.Internal, `${process} must have one interface, but has ${found}`);
  }
  const addresses = await netlinkIn(namespace).addresses(link.index);
  const address = addresses.find(({ scope }) => scope === "universe")?.address ?? "none";
  const { name: interfaceName, index, mac = "none", mtu } = link;
  return { process, namespace: namespace.name, interfaceName, index, address, mac, mtu };
}

/** The route from the client's address to the endpoint's. */
export function routeOf(namespace: NetworkNamespace, { context }: Connection): Route {
  const host = (prefix: string | undefined): string => prefix?.split("/")[0] ?? "";
  const { srcIpAddrs = [], dstIpAddrs = [] } = context?.ipContext ?? {};
  return { namespace, from: host(srcIpAddrs[0]), to: host(dstIpAddrs[0]) };
}
