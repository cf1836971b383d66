import { readdirSync, readlinkSync } from "node:fs";
import { currentNamespace, netlinkIn, type NetworkNamespace } from "../../linux/index.js";

/**
 * What this process holds open that a test could leak: sockets, namespaces, pipes and event descriptors,
 * as `17 -> net:[4026532233]`. Plain files are left out, since Node opens them as it pleases.
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
 * Remembers the open descriptors and the links of a namespace, by default the one this thread stands in; the
 * function it returns names what has been added since, one sentence each, nothing when all is gone.
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
