import { ContextKey } from "./context.js";

/**
 * Set to true for a Find that no cache may answer: ask so before failing because nothing fitting was found, since
 * a cache hears of a new entry a moment later than the registry.
 */
export const uncached = new ContextKey<boolean>("uncached");

/**
 * Set to true for a Find that must not wait for another process: a cache answers with what it has, also with what it
 * had when its watch broke, and shows nothing for the rest.
 */
export const cachedOnly = new ContextKey<boolean>("cached-only");
