import { Code, NsmError } from "../../core/index.js";
import { namespaceUrlAt } from "./peer-namespace.js";

/** The network namespaces of this process and of the first process that it sees. */
const PATHS = ["/proc/self/ns/net", "/proc/1/ns/net"];

/**
 * Rejects the network namespace of the machine, for a peer that does not live in it. Such a peer can have a
 * descriptor of it, for example in a privileged container that shares the PID namespace of the machine.
 *
 * @throws NsmError PERMISSION_DENIED
 */
export function assertIsNotMachine(url: string): void {
  if (!PATHS.some((path) => namespaceUrlAt(path) === url)) return;
  throw new NsmError(
    Code.PermissionDenied,
    `the network namespace ${url} is that of the machine: only a process that runs in it may use it`,
  );
}
