import type { IPContext } from "../../../../src/api/index.js";
import { netlinkIn, ping, type NetworkNamespace } from "../../../../src/linux/index.js";
import { forwarder as forwarderBetween } from "../../../elements/support/forwarder.js";

export type Options = Partial<Parameters<typeof forwarderBetween>[0]>;

/** A forwarder between two namespaces that this process holds. */
export function forwarder(client: NetworkNamespace, endpoint: NetworkNamespace, options: Options = {}) {
  return forwarderBetween({ client: client.path, endpoint: endpoint.path, ...options });
}

export const dualStack: Partial<IPContext> = {
  srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"],
  dstIpAddrs: ["10.0.0.0/32", "fd00::/128"],
  srcRoutes: [
    { prefix: "10.0.0.0/32", nextHop: "" },
    { prefix: "fd00::/128", nextHop: "" },
  ],
  dstRoutes: [
    { prefix: "10.0.0.1/32", nextHop: "" },
    { prefix: "fd00::1/128", nextHop: "" },
  ],
};

export const linksOf = async (namespace: NetworkNamespace) =>
  (await netlinkIn(namespace).links()).map(({ name }) => name).filter((name) => name !== "lo");

/** What is set on an interface, in comparable form, without the kernel's own link-local entries. */
export async function interfaceState(namespace: NetworkNamespace, name: string) {
  const netlink = netlinkIn(namespace);
  const { index, mtu, up, alias } = await netlink.link(name);
  const addresses = (await netlink.addresses(index)).filter(({ scope }) => scope === "universe");
  const routes = (await netlink.routes({ link: index })).filter(
    ({ destination }) => !destination.startsWith("fe80"),
  );
  return {
    index,
    mtu,
    up,
    alias,
    addresses: addresses.map(({ address, tentative }) => `${address}${tentative ? " tentative" : ""}`),
    routes: routes.map(({ destination, gateway, scope, onlink }) =>
      [destination, gateway && `via ${gateway}`, scope, onlink && "onlink"].filter(Boolean).join(" "),
    ),
  };
}

export const reaches = async (namespace: NetworkNamespace, to: string, from?: string): Promise<boolean> =>
  (await ping({ namespace, to, count: 1, ...(from !== undefined && { from }) })).received === 1;
