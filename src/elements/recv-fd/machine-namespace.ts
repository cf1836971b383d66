import { Code, NsmError } from "../../core/index.js";
import { namespaceUrlAt } from "./peer-namespace.js";

/**
 * The inode of the namespace that the kernel creates first, since Linux 6.18. Earlier kernels use this number for no
 * network namespace.
 *
 * Source: linux/nsfs.h, NET_NS_INIT_INO.
 */
const FIRST_INODE = 0xefff_fff9;

/**
 * Rejects the network namespace of the machine, for a peer that does not live in it. Such a peer can have a
 * descriptor of it, for example in a privileged container that shares the PID namespace of the machine.
 *
 * @param isOwner - whether the peer is a client or an endpoint. A hop between them may have checked that its client
 * lives in the first namespace.
 * @throws NsmError PERMISSION_DENIED
 */
export function assertIsNotMachine(url: string, isOwner: boolean): void {
  const own = namespaceUrlAt("/proc/self/ns/net");
  const ofFirstProcess = namespaceUrlAt("/proc/1/ns/net");
  const first = isOwner ? own?.replace(/\d+$/, String(FIRST_INODE)) : undefined;
  if (![own, ofFirstProcess, first].includes(url)) return;
  throw new NsmError(
    Code.PermissionDenied,
    `the network namespace ${url} belongs to the machine: only a process that runs in it may use it`,
  );
}
