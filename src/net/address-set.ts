import { bitsOf, type Family, type IpAddress } from "./address.js";
import { boundsOf, type Prefix } from "./prefix.js";
import { RangeSet, type Range } from "./range-set.js";

const families: readonly Family[] = [4, 6];

/**
 * A set of IPv4 and IPv6 addresses. Prefixes are added and removed as a whole.
 *
 * @example
 * import { AddressSet, formatPrefix, parsePrefix } from "nsm-sdk/net";
 *
 * const excluded = new AddressSet(["10.0.0.0/25", "10.0.0.128/25"].map(parsePrefix));
 * excluded.prefixes().map(formatPrefix); // ["10.0.0.0/24"]
 */
export class AddressSet {
  private readonly sets = { 4: new RangeSet(), 6: new RangeSet() } as const;

  constructor(prefixes: Iterable<Prefix> = []) {
    for (const prefix of prefixes) this.add(prefix);
  }

  get isEmpty(): boolean {
    return families.every((family) => this.sets[family].ranges.length === 0);
  }

  add(prefix: Prefix): void {
    const { first, last } = boundsOf(prefix);
    this.sets[prefix.address.family].add(first, last);
  }

  remove(prefix: Prefix): void {
    const { first, last } = boundsOf(prefix);
    this.sets[prefix.address.family].remove(first, last);
  }

  has({ family, value }: IpAddress): boolean {
    return this.sets[family].covers(value, value);
  }

  /** Whether the set holds the whole network of the prefix. */
  covers(prefix: Prefix): boolean {
    const { first, last } = boundsOf(prefix);
    return this.sets[prefix.address.family].covers(first, last);
  }

  /** Whether the set holds any address of the prefix's network. */
  touches(prefix: Prefix): boolean {
    const { first, last } = boundsOf(prefix);
    return this.sets[prefix.address.family].touches(first, last);
  }

  /** The lowest network of that length that lies fully in the set and has no address in `except`. */
  lowest(family: Family, length: number, except?: AddressSet): Prefix | undefined {
    const size = 1n << BigInt(bitsOf(family) - length);
    const value = this.sets[family].lowest(size, except?.sets[family]);
    return value === undefined ? undefined : { address: { family, value }, length };
  }

  /** The fewest prefixes that make up the set, in ascending order, IPv4 first. */
  prefixes(): readonly Prefix[] {
    return families.flatMap((family) => this.sets[family].ranges.flatMap((range) => split(family, range)));
  }
}

/** The fewest prefixes that make up the range. */
function split(family: Family, { first, last }: Range): readonly Prefix[] {
  const bits = bitsOf(family);
  const prefixes: Prefix[] = [];
  for (let value = first; value <= last;) {
    const fits = bitLength(last - value + 1n) - 1;
    const aligned = value === 0n ? bits : bitLength(value & -value) - 1;
    const hostBits = Math.min(fits, aligned);
    prefixes.push({ address: { family, value }, length: bits - hostBits });
    value += 1n << BigInt(hostBits);
  }
  return prefixes;
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}
