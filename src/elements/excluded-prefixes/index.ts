/**
 * Excluded prefixes: addresses that no endpoint may give out, because the network around it uses them.
 *
 * @example
 * chain([updatePath({ name: "nsmgr" }), beginServer(), connectionState(), excludedPrefixesServer(), …]);
 *
 * @packageDocumentation
 */
export { excludedPrefixesServer, type ExcludedPrefixesServerOptions } from "./server.js";
