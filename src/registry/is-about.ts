import type { RegistryEntry } from "../core/index.js";

/** An entry that may have a URL: endpoints have one, network services do not. */
type Located = RegistryEntry & { readonly url?: string | undefined };

/**
 * Whether an Unregister is about the current registration. A name that was registered again under another URL
 * has moved, and an Unregister with the old URL is not about the new registration. An Unregister without a URL
 * is about any registration of the name.
 */
export function isAbout(unregistered: Located, standing: Located): boolean {
  return !unregistered.url || !standing.url || unregistered.url === standing.url;
}
