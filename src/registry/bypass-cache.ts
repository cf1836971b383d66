import { ContextKey } from "../core/context.js";

/**
 * Set to true for a Find that no cache may answer. Use it before a call fails because no entry fits: a cache learns of
 * a new entry a moment later than the registry.
 */
export const bypassCache = new ContextKey<boolean>("uncached");

/**
 * Set to true for a Find that must not wait for another process. A cache answers with the entries that it has, or had
 * when its watch broke, and with nothing for other queries.
 */
export const cachedOnly = new ContextKey<boolean>("cached-only");
