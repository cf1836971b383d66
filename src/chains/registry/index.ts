/**
 * The registry of a domain, and the registry of a manager, which forwards to the domain's registry or keeps its
 * own.
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
