/**
 * IP addresses, prefixes, address sets and pools, and the addresses and routes that an IP context gives to
 * each end of a vWire.
 *
 * @packageDocumentation
 */
export {
  addressFromBytes,
  addressToBytes,
  formatAddress,
  parseAddress,
  sameAddress,
  type Family,
  type IpAddress,
} from "./address.js";
export { AddressPool } from "./address-pool.js";
export { AddressSet } from "./address-set.js";
export {
  boundsOf,
  formatPrefix,
  hostPrefix,
  networkOf,
  parsePrefix,
  parsePrefixOrAddress,
  prefixHas,
  type Prefix,
} from "./prefix.js";
export { addressesOf, routesOf, type IpRoute, type Side } from "./routes.js";
