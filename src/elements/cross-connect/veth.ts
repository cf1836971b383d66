import { Code, codeOf, NsmError } from "../../core/index.js";
import type { Link, NamespaceById } from "../../linux/index.js";
import type { End } from "./ends.js";
import type { Kernel, Namespace } from "./kernel.js";
import { bears, type Mark, type Wire, type WireEnd } from "./wire.js";

/** The two interfaces of a vWire. */
export interface Pair {
  readonly client: Link;
  readonly endpoint: Link;
}

/** The location of an interface, existing or planned. */
export interface Place extends End {
  readonly mark: Mark;
  readonly reachableId: number | undefined;
}

/**
 * Finds the vWire between two places in the kernel. Returns undefined unless both ends exist with the right
 * names and are connected to each other.
 */
export async function standingPair(client: Place, endpoint: Place): Promise<Pair | undefined> {
  const a = await linkNamed(client.namespace, client.name);
  const b = await linkNamed(endpoint.namespace, endpoint.name);
  const ours = a?.alias === client.mark.alias && b?.alias === endpoint.mark.alias;
  const joined = a?.peerIndex === b?.index && b?.peerIndex === a?.index;
  return a && b && ours && joined && bears(a, client.mark) && bears(b, endpoint.mark)
    ? { client: a, endpoint: b }
    : undefined;
}

/**
 * Rejects a name that an interface of another owner has.
 *
 * @throws NsmError ALREADY_EXISTS
 */
export async function assertNameIsFree({ namespace, name, mark, whose }: Place): Promise<void> {
  const link = await linkNamed(namespace, name);
  if (!link || bears(link, mark)) return;
  throw new NsmError(
    Code.AlreadyExists,
    `interface name "${name}" is taken in the ${whose}'s network namespace, by ${link.alias ?? link.kind ?? "another program"}`,
  );
}

/** Deletes the remaining interfaces of an earlier vWire that leads elsewhere or was not completed. */
export async function clear(client: Place, endpoint?: Place): Promise<void> {
  for (const link of await client.namespace.links()) {
    if (bears(link, client.mark)) await deleteLink(client.namespace, link.index);
  }
  if (!endpoint) return;
  // By name only, because the same connection may pass through this namespace twice.
  const link = await linkNamed(endpoint.namespace, endpoint.name);
  if (link && bears(link, endpoint.mark)) await deleteLink(endpoint.namespace, link.index);
}

/** Deletes a vWire by whichever end is reachable. If both namespaces are gone, the vWire is gone too. */
export async function removeWire(kernel: Kernel, { client, endpoint }: Wire): Promise<void> {
  // Endpoint first: many clients share an endpoint, and interfaces of one namespace are deleted in one batch.
  const ends = [endpoint, client];
  for (const end of ends) if (await removeEnd(openAt(kernel, end.path, end.namespace), end)) return;
  for (const end of ends) {
    if (end.reachableId !== undefined && (await removeEnd(kernel.reach(end.reachableId), end))) return;
  }
  for (const end of ends) {
    const path = await kernel.pathTo(end.namespace);
    if (await removeEnd(openAt(kernel, path, end.namespace), end)) return;
  }
}

/** Whether it has deleted the interface. */
async function removeEnd(namespace: NamespaceById | undefined, end: WireEnd): Promise<boolean> {
  if (!namespace) return false;
  try {
    const link = await linkNamed(namespace, end.index ?? end.name);
    // Without a recorded index, an interface with this name and alias may belong to another forwarder. Its MAC
    // address decides.
    if (!link || !bears(link, end) || (end.index === undefined && link.mac !== end.mac)) return false;
    await deleteLink(namespace, link.index);
    return true;
  } finally {
    namespace.close();
  }
}

/** Codes of open() that mean that the namespace is not at this path. */
const absent = new Set<Code>([Code.NotFound, Code.InvalidArgument, Code.PermissionDenied]);

function openAt(kernel: Kernel, path: string | undefined, id: string): Namespace | undefined {
  if (path === undefined) return undefined;
  let namespace: Namespace;
  try {
    namespace = kernel.open(path);
  } catch (error) {
    if (absent.has(codeOf(error))) return undefined;
    throw error;
  }
  if (namespace.id === id) return namespace;
  namespace.close();
  return undefined;
}

async function linkNamed(
  namespace: Pick<Namespace, "link">,
  link: string | number,
): Promise<Link | undefined> {
  try {
    return await namespace.link(link);
  } catch (error) {
    if (codeOf(error) === Code.NotFound) return undefined;
    throw error;
  }
}

async function deleteLink(namespace: Pick<Namespace, "deleteLink">, index: number): Promise<void> {
  try {
    await namespace.deleteLink(index);
  } catch (error) {
    if (codeOf(error) !== Code.NotFound) throw error;
  }
}
