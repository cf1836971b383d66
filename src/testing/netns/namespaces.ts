import { netlinkIn, type NetworkNamespace, newNamespace } from "../../linux/index.js";
import { leftovers } from "./leftovers.js";

/** A tuple of `N` namespaces. */
export type Namespaces<N extends number, Found extends NetworkNamespace[] = []> = number extends N
  ? NetworkNamespace[]
  : Found["length"] extends N
    ? Found
    : Namespaces<N, [...Found, NetworkNamespace]>;

/** Creates a namespace with its loopback up. The caller closes it. */
export async function testNamespace(): Promise<NetworkNamespace> {
  const namespace = newNamespace();
  try {
    await netlinkIn(namespace).setLink("lo", { up: true });
    return namespace;
  } catch (error) {
    namespace.close();
    throw error;
  }
}

/**
 * Runs `work` with new namespaces and closes them. Fails if a descriptor or a link of the host's namespace
 * remains that did not exist before. Tests that run concurrently in one process would report each other's
 * resources.
 *
 * @example
 * import { createVeth } from "nsm-sdk/linux";
 * import { withNamespaces } from "nsm-sdk/testing/netns";
 *
 * test("packets pass", () =>
 *   withNamespaces(2, async ([client, endpoint]) => {
 *     await createVeth({ a: { namespace: client, name: "c" }, b: { namespace: endpoint, name: "e" } });
 *   }));
 */
export async function withNamespaces<T, const N extends number>(
  count: N,
  work: (namespaces: Namespaces<N>) => Promise<T>,
): Promise<T> {
  const remaining = await leftovers();
  const made: NetworkNamespace[] = [];
  let result: T;
  try {
    while (made.length < count) made.push(await testNamespace());
    result = await work(made as Namespaces<N>);
  } finally {
    for (const namespace of made) namespace.close();
  }
  const left = await remaining();
  if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  return result;
}
