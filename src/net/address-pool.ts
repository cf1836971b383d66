import { bitsOf, type Family, type IpAddress } from "./address.js";
import { AddressSet } from "./address-set.js";
import { hostPrefix, type Prefix } from "./prefix.js";

/**
 * Addresses to hand out, the lowest first. Nothing is copied to allocate: what it costs depends on how
 * fragmented the pool is, not on its size.
 *
 * @example
 * import { AddressPool, parsePrefix } from "nsm-sdk/net";
 *
 * const pool = new AddressPool([parsePrefix("172.16.0.0/30")]);
 * const address = pool.pull(); // 172.16.0.0
 * pool.giveBack(address!);
 */
export class AddressPool {
  private readonly all: AddressSet;
  private readonly free: AddressSet;

  constructor(prefixes: readonly Prefix[]) {
    this.all = new AddressSet(prefixes);
    this.free = new AddressSet(prefixes);
  }

  /** The lowest free address that is not in `except`, IPv4 before IPv6; undefined when none is left. */
  pull(except?: AddressSet): IpAddress | undefined {
    return (this.pullPrefix(4, bitsOf(4), except) ?? this.pullPrefix(6, bitsOf(6), except))?.address;
  }

  /** The lowest free network of that length without an address in `except`; undefined when none is left. */
  pullPrefix(family: Family, length: number, except?: AddressSet): Prefix | undefined {
    const prefix = this.free.lowest(family, length, except);
    if (prefix) this.free.remove(prefix);
    return prefix;
  }

  /** Takes just this address; false when it is taken or was never here. */
  take(address: IpAddress): boolean {
    return this.takePrefix(hostPrefix(address));
  }

  /** Takes just this network; false when part of it is taken or was never here. */
  takePrefix(prefix: Prefix): boolean {
    const free = this.free.covers(prefix);
    if (free) this.free.remove(prefix);
    return free;
  }

  /** Makes an address free again; false when it never was of this pool. */
  giveBack(address: IpAddress): boolean {
    return this.giveBackPrefix(hostPrefix(address));
  }

  /** Makes a network free again; false when part of it never was of this pool. */
  giveBackPrefix(prefix: Prefix): boolean {
    const own = this.all.covers(prefix);
    if (own) this.free.add(prefix);
    return own;
  }

  /** Never hands out these addresses again; those that are out may stay out. */
  exclude(prefix: Prefix): void {
    this.all.remove(prefix);
    this.free.remove(prefix);
  }

  /** Whether the address is of this pool, free or not. */
  contains(address: IpAddress): boolean {
    return this.all.has(address);
  }

  /** Whether the address could be taken. */
  isFree(address: IpAddress): boolean {
    return this.free.has(address);
  }

  /** What is free, as the fewest prefixes, ascending. */
  freePrefixes(): readonly Prefix[] {
    return this.free.prefixes();
  }
}
