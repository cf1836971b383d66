/**
 * Real network namespaces for tests, held by descriptors and gone after the test. Needs root, or an own user
 * namespace: `unshare -Urn npx vitest run …`.
 *
 * @packageDocumentation
 */
export { leftovers, openDescriptors } from "./leftovers.js";
export { testNamespace, withNamespaces, type Namespaces } from "./namespaces.js";
