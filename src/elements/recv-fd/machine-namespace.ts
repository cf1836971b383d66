import { Code, NsmError } from "../../core/index.js";
import { namespaceUrlAt } from "./peer-namespace.js";

const OWN = "/proc/self/ns/net";
/** The network namespaces of this process and of the first process that it sees. */
const PATHS = [OWN, "/proc/1/ns/net"];
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
  const first = namespaceUrlAt(OWN)?.replace(/\d+$/, String(FIRST_INODE));
  if (!PATHS.some((path) => namespaceUrlAt(path) === url) && !(isOwner && url === first)) return;
  throw new NsmError(
    Code.PermissionDenied,
    `the network namespace ${url} is that of the machine: only a process that runs in it may use it`,
  );
}
