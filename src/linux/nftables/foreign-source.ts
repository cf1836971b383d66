import { addressInterval } from "./intervals.js";
import { linkKey, loadSource, loadLinkName } from "./fields.js";
import { lookup } from "./sets.js";
import type { Statement } from "./statement.js";
import { secondRegister } from "./encoding.js";

const LINK_TYPE = 41;
const ADDRESS_TYPE = { 4: 7, 6: 8 } as const;
/** nft encodes the types of a concatenation in one number, six bits each. */
const CONCATENATED = 64;

/** A link, and an address that may be the source of its packets. */
export interface LinkAddress {
  readonly link: string;
  readonly address: string;
}

/**
 * Matches packets whose source address is not in the list for their incoming link. Matches only packets of
 * the given IP version. Needs one lookup for any number of pairs.
 */
export function foreignSource(version: 4 | 6, allowed: readonly LinkAddress[]): Statement {
  const network = version === 4 ? "ipv4" : "ipv6";
  if (allowed.length === 0) return { requires: [{ network }], encode: () => [] };
  const keys = new Map(
    allowed.map(({ link, address }) => {
      const key = Buffer.concat([linkKey(link), addressInterval(address, version).first]);
      return [key.toString("hex"), key];
    }),
  );
  const intervals = [...keys.values()].map((key) => ({ first: key, last: key }));
  const keyType = LINK_TYPE * CONCATENATED + ADDRESS_TYPE[version];
  return {
    requires: [{ network }],
    encode: (_family, useSet) => [
      loadLinkName("iifname"),
      loadSource(version, secondRegister),
      lookup(useSet({ intervals, keyType, hostOrder: false }), { inverted: true }),
    ],
  };
}
