import { readdirSync, readlinkSync } from "node:fs";
import { currentNamespace, netlinkIn, type NetworkNamespace } from "../../linux/index.js";

/**
 * The open descriptors of this process that a test could leak, such as `17 -> net:[4026532233]`: sockets,
 * namespaces, pipes and event descriptors. Omits plain files, which Node opens on its own.
 */
export function openDescriptors(): readonly string[] {
  const found: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    const target = targetOf(fd);
    if (target && /^(socket|net|pipe|anon_inode):/.test(target)) found.push(`${fd} -> ${target}`);
  }
  return found;
}

/**
 * Records the open descriptors and the links of a namespace. Default: the namespace of this thread. The
 * returned function describes each one added since, and returns an empty list if there is none.
 *
 * @example
 * import { netlinkIn } from "nsm-sdk/linux";
 * import { leftovers, withNamespaces } from "nsm-sdk/testing/netns";
 *
 * const remaining = await leftovers();
 * await withNamespaces(1, ([namespace]) => netlinkIn(namespace).setLink("lo", { up: true }));
 * expect(await remaining()).toEqual([]);
 */
export async function leftovers(namespace?: NetworkNamespace): Promise<() => Promise<readonly string[]>> {
  const linksBefore = new Set(await linksOf(namespace));
  const openBefore = new Set(openDescriptors());
  return async () => {
    const open = openDescriptors().filter((descriptor) => !openBefore.has(descriptor));
    const links = (await linksOf(namespace)).filter((link) => !linksBefore.has(link));
    return [...open.map((it) => `descriptor ${it}`), ...links.map((it) => `link ${it}`)];
  };
}

async function linksOf(namespace: NetworkNamespace | undefined): Promise<readonly string[]> {
  const looked = namespace ?? currentNamespace();
  try {
    return (await netlinkIn(looked).links()).map(({ name, index }) => `${name} (${index})`);
  } finally {
    if (!namespace) looked.close();
  }
}

function targetOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // the one that listed the directory is closed by now
  }
}
