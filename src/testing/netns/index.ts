/**
 * Network namespaces for tests: real ones, held by descriptor, gone with the test. Needs root, or a user
 * namespace of one's own: `unshare -Urn npx vitest run …`.
 *
 * @packageDocumentation
 */
export { leftovers, openDescriptors } from "./leftovers.js";
export { testNamespace, withNamespaces, type Namespaces } from "./namespaces.js";
