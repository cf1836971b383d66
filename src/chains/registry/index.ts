/**
 * The registries: that of a domain, and that of a manager, which hands on to the domain's or keeps its own.
 *
 * @packageDocumentation
 */
export { cachedRegistry, type CachedRegistryOptions } from "./cached.js";
export type { RegistryChains } from "./held.js";
export { nsmgrRegistryChain, type NsmgrRegistry, type NsmgrRegistryOptions } from "./nsmgr.js";
export {
  registryChain,
  type RegistryOptions,
  type RegistryServices,
  type RegistryStores,
} from "./registry.js";
