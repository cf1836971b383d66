import { ContextKey } from "../core/context.js";

/**
 * Set to true for a Find that no cache may answer. Use it before a call fails because no entry matches, because
 * a cache receives a new entry slightly later than the registry.
 */
export const bypassCache = new ContextKey<boolean>("uncached");

/**
 * Set to true for a Find that must not wait for another process. A cache answers with its entries, or with the
 * entries that it had when its watch broke. For other queries it returns nothing.
 */
export const cachedOnly = new ContextKey<boolean>("cached-only");
