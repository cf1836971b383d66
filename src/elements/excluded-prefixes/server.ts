import { connectionOf, patchConnection, patchIpContext } from "../../api/index.js";
import type { NetworkServiceElement } from "../../core/index.js";
import { prefixFile } from "./prefix-file.js";

/** Options of excludedPrefixesServer(). */
export interface ExcludedPrefixesServerOptions {
  /**
   * Path of a YAML file with a list `prefixes`. Default:
   * `/var/lib/networkservicemesh/config/excluded_prefixes.yaml`.
   */
  readonly file?: string | undefined;
}

/**
 * Adds the prefixes of a file to the excluded prefixes of a request. Existing prefixes are kept. The file is
 * checked on every Request, so a change applies to the next Request. If the file does not exist, nothing is
 * added. If it cannot be read, the earlier prefixes stay in force and the failure is logged.
 *
 * Server side, in an nsmgr; before connectServer().
 */
export function excludedPrefixesServer({
  file = "/var/lib/networkservicemesh/config/excluded_prefixes.yaml",
}: ExcludedPrefixesServerOptions = {}): NetworkServiceElement {
  const prefixesOf = prefixFile(file);
  return {
    name: "excluded-prefixes/server",
    async request(ctx, request, next) {
      const prefixes = await prefixesOf(ctx);
      const connection = patchIpContext(connectionOf(request), ({ excludedPrefixes }) => ({
        excludedPrefixes: [...new Set([...excludedPrefixes, ...prefixes])],
      }));
      return next.request(ctx, patchConnection(request, connection));
    },
  };
}
