import type { RegistryEntry } from "../core/index.js";

/** An entry that may say where it is: endpoints do, network services do not. */
type Located = RegistryEntry & { readonly url?: string | undefined };

/**
 * Whether an Unregister is about the registration that stands. A name that was registered again under another URL
 * has moved, and an Unregister with the old URL is not about the new registration. An Unregister without URL is about
 * any.
 */
export function isAbout(unregistered: Located, standing: Located): boolean {
  return !unregistered.url || !standing.url || unregistered.url === standing.url;
}
