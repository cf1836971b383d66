import type { RegistryEntry } from "../core/index.js";

/**
 * Whether an Unregister is about the current registration. A name that was registered again under another URL
 * has moved, and an Unregister with the old URL is not about the new registration. An Unregister without a URL
 * is about any registration of the name.
 */
export function isAbout(
  // Endpoints have a URL, network services do not.
  unregistered: RegistryEntry & { readonly url?: string | undefined },
  standing: RegistryEntry & { readonly url?: string | undefined },
): boolean {
  return !unregistered.url || !standing.url || unregistered.url === standing.url;
}
