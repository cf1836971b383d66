/**
 * The registry of a domain, and the registry of a manager, which forwards to the domain's registry or keeps its
 * own.
 *
 * @packageDocumentation
 */
export { cachedRegistry, type CachedRegistryOptions } from "./cached.js";
export type { RegistryChains } from "./held.js";
export {
  nsmgrRegistry,
  type NsmgrRegistry,
  type NsmgrRegistryOptions,
  type NsmgrRegistryPlaces,
  type NsmgrRegistryReplacements,
} from "./nsmgr.js";
export {
  registry,
  type RegistryOptions,
  type RegistryPlaces,
  type RegistryReplacements,
  type RegistryServices,
  type RegistryStores,
} from "./registry.js";
