import { resolve } from "node:path";

/** The URL of a network namespace for `inodeUrl`: of the one at `path`. Default: of this process. */
export function namespaceUrl(path?: string): string {
  return `file://${path === undefined ? `/proc/${process.pid}/ns/net` : resolve(path)}`;
}
