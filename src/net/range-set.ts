/** All numbers from `first` to `last`, inclusive. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * A set of numbers, stored as ordered ranges that never touch. A whole IPv6 network costs as much as one
 * address.
 */
export class RangeSet {
  private readonly list: Range[] = [];

  get ranges(): readonly Range[] {
    return this.list;
  }

  add(first: bigint, last: bigint): void {
    const from = this.firstEndingAt(first - 1n);
    let to = from;
    let joined = { first, last };
    for (let range = this.list[to]; range && range.first <= last + 1n; range = this.list[++to]) {
      joined = {
        first: range.first < joined.first ? range.first : joined.first,
        last: range.last > joined.last ? range.last : joined.last,
      };
    }
    this.list.splice(from, to - from, joined);
  }

  remove(first: bigint, last: bigint): void {
    const from = this.firstEndingAt(first);
    const rest: Range[] = [];
    let to = from;
    for (let range = this.list[to]; range && range.first <= last; range = this.list[++to]) {
      if (range.first < first) rest.push({ first: range.first, last: first - 1n });
      if (range.last > last) rest.push({ first: last + 1n, last: range.last });
    }
    this.list.splice(from, to - from, ...rest);
  }

  /** The range that contains the number. */
  rangeOf(value: bigint): Range | undefined {
    const range = this.list[this.firstEndingAt(value)];
    return range && range.first <= value ? range : undefined;
  }

  /** Whether every number from `first` to `last` is in the set. */
  covers(first: bigint, last: bigint): boolean {
    const range = this.rangeOf(first);
    return range !== undefined && range.last >= last;
  }

  /** Whether any number from `first` to `last` is in the set. */
  touches(first: bigint, last: bigint): boolean {
    const range = this.list[this.firstEndingAt(first)];
    return range !== undefined && range.first <= last;
  }

  /**
   * Finds `size` consecutive numbers that are all in the set and not in `except`. Returns the lowest start
   * that is a multiple of `size`. `size` must be a power of two.
   */
  lowest(size: bigint, except?: RangeSet): bigint | undefined {
    const aligned = (value: bigint): bigint => (value + size - 1n) & -size;
    for (const range of this.list) {
      for (let at = aligned(range.first); at + size - 1n <= range.last;) {
        const last = at + size - 1n;
        const hit = except?.list[except.firstEndingAt(at)];
        if (!hit || hit.first > last) return at;
        at = aligned(hit.last + 1n);
      }
    }
    return undefined;
  }

  /** The index of the first range that ends at or after `value`. */
  private firstEndingAt(value: bigint): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.list[middle]!.last < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
