import { bitsOf, type Family, type IpAddress } from "./address.js";
import { AddressSet } from "./address-set.js";
import { hostPrefix, type Prefix } from "./prefix.js";

/**
 * Allocates addresses, lowest first. Allocation copies nothing: its cost depends on the fragmentation of the
 * pool, not on its size.
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

  /**
   * Allocates the lowest free address that is not in `except`, IPv4 before IPv6. Returns undefined if none is
   * left.
   */
  pull(except?: AddressSet): IpAddress | undefined {
    return (this.pullPrefix(4, bitsOf(4), except) ?? this.pullPrefix(6, bitsOf(6), except))?.address;
  }

  /**
   * Allocates the lowest free network of that length with no address in `except`. Returns undefined if none
   * is left.
   */
  pullPrefix(family: Family, length: number, except?: AddressSet): Prefix | undefined {
    const prefix = this.free.lowest(family, length, except);
    if (prefix) this.free.remove(prefix);
    return prefix;
  }

  /** Allocates exactly this address. Returns false if it is allocated already or not part of the pool. */
  take(address: IpAddress): boolean {
    return this.takePrefix(hostPrefix(address));
  }

  /** Allocates exactly this network. Returns false if any part of it is allocated or not part of the pool. */
  takePrefix(prefix: Prefix): boolean {
    const free = this.free.covers(prefix);
    if (free) this.free.remove(prefix);
    return free;
  }

  /** Releases an address. Returns false if it is not part of the pool. */
  giveBack(address: IpAddress): boolean {
    return this.giveBackPrefix(hostPrefix(address));
  }

  /** Releases a network. Returns false if any part of it is not part of the pool. */
  giveBackPrefix(prefix: Prefix): boolean {
    const own = this.all.covers(prefix);
    if (own) this.free.add(prefix);
    return own;
  }

  /** Removes these addresses from the pool. Addresses that are allocated now stay valid. */
  exclude(prefix: Prefix): void {
    this.all.remove(prefix);
    this.free.remove(prefix);
  }

  /** Whether the address is part of the pool, free or allocated. */
  contains(address: IpAddress): boolean {
    return this.all.has(address);
  }

  /** Whether the address is free. */
  isFree(address: IpAddress): boolean {
    return this.free.has(address);
  }

  /** The free addresses, as the fewest prefixes, in ascending order. */
  freePrefixes(): readonly Prefix[] {
    return this.free.prefixes();
  }
}
