import { ConnectionContext, IPContext, Mechanism, type Connection } from "../../../../src/api/index.js";
import { beginServer } from "../../../../src/elements/begin/index.js";
import { firewall, type Firewall, type FirewallOptions } from "../../../../src/elements/firewall/index.js";
import { mechanismsServer } from "../../../../src/elements/mechanisms/index.js";
import { kernelServer } from "../../../../src/elements/mechanisms/kernel/index.js";
import { updatePath } from "../../../../src/elements/update-path/index.js";
import { connectionState } from "../../../../src/elements/connection-state/index.js";
import { createVeth, netlinkIn, type NetworkNamespace } from "../../../../src/linux/index.js";
import { run, type Run } from "../../../../src/testing/index.js";

/** Addresses of the two ends. */
export const client4 = "172.16.1.101";
export const endpoint4 = "172.16.1.100";
export const client6 = "2001:db8::101";
export const endpoint6 = "2001:db8::100";

/** Name of the endpoint's interface. */
export const wireName = "fw-1";

/** The chain of an endpoint with a firewall. */
export interface EndpointWithFirewall extends Run {
  readonly firewall: Firewall;
}

/** An endpoint with a firewall whose interfaces are in the given namespace. */
export function endpointWithFirewall(
  namespace: NetworkNamespace,
  options: Partial<FirewallOptions> & Pick<FirewallOptions, "rules">,
): EndpointWithFirewall {
  const netns = namespace.path;
  const firewallElement = firewall({ name: "fw", netns, ...options });
  const chain = run([
    updatePath({ name: "nse" }),
    beginServer(),
    connectionState(),
    firewallElement,
    mechanismsServer({ KERNEL: kernelServer({ inodeUrl: `file://${netns}`, interfaceName: wireName }) }),
  ]);
  return { ...chain, firewall: firewallElement };
}

/** A connection without an interface name, with the addresses that an IPAM would allocate. */
export const kernelConnection: Partial<Connection> = {
  mechanism: Mechanism.create({ cls: "LOCAL", type: "KERNEL" }),
  context: addresses(client4, client6),
};

/** The context of a connection whose client has these addresses. */
export function addresses(...client: readonly string[]): ConnectionContext {
  return ConnectionContext.create({
    ipContext: IPContext.create({
      srcIpAddrs: client.map((one) => `${one}/${one.includes(":") ? 128 : 32}`),
    }),
  });
}

/** Creates the veth pair, as a forwarder does after the endpoint has answered. */
export async function wire(
  client: NetworkNamespace,
  endpoint: NetworkNamespace,
  names: { readonly client?: string; readonly endpoint?: string } = {},
): Promise<void> {
  const [atClient, atEndpoint] = [names.client ?? "nsm-1", names.endpoint ?? wireName];
  await createVeth({
    a: { namespace: client, name: atClient, alias: "server-1", up: true },
    b: { namespace: endpoint, name: atEndpoint, alias: "client-1", up: true },
  });
  await address(client, atClient, [client4, client6], [endpoint4, endpoint6]);
  await address(endpoint, atEndpoint, [endpoint4, endpoint6], [client4, client6]);
  // An IPv6 address answers some time after it was given; who asks before loses a second.
  await netlinkIn(client).addressesUsable(atClient);
  await netlinkIn(endpoint).addressesUsable(atEndpoint);
}

async function address(
  namespace: NetworkNamespace,
  link: string,
  own: readonly string[],
  far: readonly string[],
): Promise<void> {
  const netlink = netlinkIn(namespace);
  for (const one of own) await netlink.addAddress(link, one);
  for (const destination of far) await netlink.replaceRoute({ destination, link });
}
