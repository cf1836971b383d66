/**
 * Excluded prefixes: addresses that no endpoint may allocate, because the surrounding network uses them.
 *
 * @example
 * import { beginServer, chain, connectionState, updatePath } from "nsm-sdk";
 * import { connectServer } from "nsm-sdk/elements/connect";
 * import { excludedPrefixesServer } from "nsm-sdk/elements/excluded-prefixes";
 *
 * chain([
 *   updatePath({ name: "nsmgr" }),
 *   beginServer(),
 *   connectionState(),
 *   excludedPrefixesServer(),
 *   connectServer(client),
 * ]);
 *
 * @packageDocumentation
 */
export { excludedPrefixesServer, type ExcludedPrefixesServerOptions } from "./server.js";
