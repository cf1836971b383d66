import { readdir, stat } from "node:fs/promises";
import { Code, codeOf } from "../../core/index.js";
import {
  allowPing,
  createVeth,
  enableIpv6,
  namespaceById,
  namespaceId,
  netlinkIn,
  openNamespace,
  type NetworkNamespace,
} from "../../linux/index.js";
import type { Kernel, Namespace, NewEnd } from "./kernel.js";

interface Shared {
  readonly namespace: NetworkNamespace;
  users: number;
}

/**
 * The kernel of this machine. No namespace stays open between calls, because a namespace must end with its last
 * process. Concurrent users of a namespace share a socket, so that interfaces are deleted in one batch.
 */
export function linuxKernel(): Kernel {
  const shared = new Map<string, Shared>();
  const handles = new WeakMap<Namespace, NetworkNamespace>();

  const share = (opened: NetworkNamespace, id: string): Shared => {
    const known = shared.get(id);
    if (known) opened.close();
    const entry = known ?? { namespace: opened, users: 0 };
    shared.set(id, entry);
    entry.users++;
    return entry;
  };

  const end = ({ namespace, ...properties }: NewEnd) => ({
    ...properties,
    namespace: handles.get(namespace)!,
    up: true,
  });

  return {
    open(path) {
      const opened = openNamespace(path);
      const id = idOf(opened);
      const entry = share(opened, id);
      let open = true;
      const close = (): void => {
        if (!open) return;
        open = false;
        if (--entry.users > 0) return;
        shared.delete(id);
        entry.namespace.close();
      };
      try {
        const handle: Namespace = {
          ...netlinkIn(entry.namespace),
          id,
          allowPing: () => allowPing(entry.namespace),
          enableIpv6: (link) => enableIpv6(entry.namespace, link),
          reachableId: () => idIfAllowed(entry.namespace),
          close,
        };
        handles.set(handle, entry.namespace);
        return handle;
      } catch (error) {
        close();
        throw error;
      }
    },

    async pathTo(id) {
      for await (const path of namespaceFiles()) {
        // Processes of other users are not accessible, and processes may end during the search.
        const found = await stat(path, { bigint: true }).catch(() => undefined);
        if (found && `${found.dev}:${found.ino}` === id) return path;
      }
      return undefined;
    },

    reach: namespaceById,

    createVeth: (a, b) => createVeth({ a: end(a), b: end(b) }),
  };
}

/** Undefined if this process may not assign an id. */
async function idIfAllowed(namespace: NetworkNamespace): Promise<number | undefined> {
  try {
    return await namespaceId(namespace);
  } catch (error) {
    if (codeOf(error) === Code.PermissionDenied) return undefined;
    throw error;
  }
}

function idOf({ device, inode }: NetworkNamespace): string {
  return `${device}:${inode}`;
}

/** The namespaces of all processes, then the named namespaces. */
async function* namespaceFiles(): AsyncGenerator<string> {
  for (const entry of await list("/proc")) if (/^\d+$/.test(entry)) yield `/proc/${entry}/ns/net`;
  for (const entry of await list("/run/netns")) yield `/run/netns/${entry}`;
}

function list(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}
