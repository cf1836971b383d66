import { resolve } from "node:path";

/** How a network namespace is named to the forwarder: a path given by flag, else the process's own. */
export function namespaceUrl(path: string | undefined): string {
  return `file://${path === undefined ? `/proc/${process.pid}/ns/net` : resolve(path)}`;
}
