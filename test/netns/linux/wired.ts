import { createVeth, netlinkIn, type NetworkNamespace } from "../../../src/linux/index.js";
import { type Namespaces, withNamespaces } from "../../../src/testing/netns/index.js";

/** Addresses of the two ends, as an endpoint's IPAM would give them. */
export const client4 = "172.16.1.101";
export const endpoint4 = "172.16.1.100";
export const client6 = "2001:db8::101";
export const endpoint6 = "2001:db8::100";

/** Runs a test with two namespaces joined by a wire (nsm-1 to fw-1), with host addresses and routes of both versions. */
export function wired(work: (namespaces: Namespaces<2>) => Promise<void>): Promise<void> {
  return withNamespaces(2, async ([client, endpoint]) => {
    await createVeth({
      a: { namespace: client, name: "nsm-1", up: true },
      b: { namespace: endpoint, name: "fw-1", up: true },
    });
    await address(client, "nsm-1", [client4, client6], [endpoint4, endpoint6]);
    await address(endpoint, "fw-1", [endpoint4, endpoint6], [client4, client6]);
    await netlinkIn(client).addressesUsable("nsm-1");
    await netlinkIn(endpoint).addressesUsable("fw-1");
    await work([client, endpoint]);
  });
}

async function address(
  namespace: NetworkNamespace,
  link: string,
  own: readonly string[],
  far: readonly string[],
) {
  const netlink = netlinkIn(namespace);
  for (const one of own) await netlink.addAddress(link, one);
  for (const destination of far) await netlink.replaceRoute({ destination, link });
}
