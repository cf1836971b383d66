import { connectionOf, patchConnection, patchIpContext } from "../../api/index.js";
import type { NetworkServiceElement } from "../../core/index.js";
import { prefixFile } from "./prefix-file.js";

/** Where the prefixes stand. */
export interface ExcludedPrefixesServerOptions {
  /** A YAML file with a list `prefixes`. Default: `/var/lib/networkservicemesh/config/excluded_prefixes.yaml`. */
  readonly file?: string;
}

/**
 * Adds the prefixes of a file to those that a request excludes; what is there stays. The file is looked at on
 * every Request, so a change counts from the next one on. Without a file nothing is added; one that cannot be
 * read leaves the earlier prefixes in force and is logged.
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
