import { Code, NsmError } from "../../core/index.js";
import { AF_INET } from "../constants.js";
import { parseIp } from "../ip-text.js";
import { assertRange } from "../rtnetlink/link-name.js";

/** Values from `first` to `last`, inclusive, as big-endian bytes of equal length. */
export interface Interval {
  readonly first: Buffer;
  readonly last: Buffer;
}

/** Parses `10.0.0.1`, `10.0.0.0/8` or `10.0.0.1-10.0.0.9` of the given IP version. */
export function addressInterval(value: string, version: 4 | 6): Interval {
  const [low = "", high, ...rest] = value.split("-");
  const from = parseIp(low);
  const to = high === undefined ? from : parseIp(high);
  const wanted = (from.family === AF_INET ? 4 : 6) === version && from.family === to.family;
  if (!wanted || rest.length > 0 || (high !== undefined && value.includes("/"))) {
    throw new NsmError(
      Code.InvalidArgument,
      `"${value}" is not an IPv${version} address, prefix or range (10.0.0.1-10.0.0.9)`,
    );
  }
  if (high !== undefined) return ordered(value, from.bytes, to.bytes);
  const [first, last] = [Buffer.from(from.bytes), Buffer.from(from.bytes)];
  for (let bit = from.length; bit < first.length * 8; bit++) {
    first[bit >> 3]! &= ~(0x80 >> (bit & 7));
    last[bit >> 3]! |= 0x80 >> (bit & 7);
  }
  return { first, last };
}

/** Parses a number or a range like `"8000-8010"` to bytes of the field's width. */
export function numberInterval(value: number | string, width: 1 | 2, what: string): Interval {
  const highest = 2 ** (8 * width) - 1;
  const parts = String(value).split("-");
  if (parts.length > 2 || parts.some((part) => !/^\d+$/.test(part))) {
    throw new NsmError(
      Code.InvalidArgument,
      `${what} "${value}" is neither a number nor a range like "80-90"`,
    );
  }
  const [first, last] = parts.map((part) => numberBytes(assertRange(what, Number(part), 0, highest), width));
  return ordered(String(value), first!, last ?? first!);
}

export function numberBytes(value: number, width: 1 | 2 | 4): Buffer {
  const data = Buffer.alloc(width);
  data.writeUIntBE(value, 0, width);
  return data;
}

/** Sorts the intervals and joins overlapping and adjacent ones, as the kernel requires. */
export function merged(intervals: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  for (const next of [...intervals].sort((a, b) => Buffer.compare(a.first, b.first))) {
    const previous = result.at(-1);
    const follows = previous && successor(previous.last);
    if (!previous || (follows && Buffer.compare(next.first, follows) > 0)) result.push(next);
    else if (Buffer.compare(next.last, previous.last) > 0) {
      result[result.length - 1] = { first: previous.first, last: next.last };
    }
  }
  return result;
}

/** The next value, or undefined after the last one. */
export function successor(value: Buffer): Buffer | undefined {
  const next = Buffer.from(value);
  for (let i = next.length - 1; i >= 0; i--) {
    next[i] = (next[i]! + 1) & 255;
    if (next[i] !== 0) return next;
  }
  return undefined;
}

/** The prefix length of this interval, or undefined if it is not a prefix. */
export function prefixLength({ first, last }: Interval): number | undefined {
  const bits = first.length * 8;
  const bit = (value: Buffer, i: number) => (value[i >> 3]! >> (7 - (i & 7))) & 1;
  let length = 0;
  while (length < bits && bit(first, length) === bit(last, length)) length++;
  for (let i = length; i < bits; i++) if (bit(first, i) !== 0 || bit(last, i) !== 1) return undefined;
  return length;
}

function ordered(value: string, first: Buffer, last: Buffer): Interval {
  if (Buffer.compare(first, last) <= 0) return { first, last };
  throw new NsmError(Code.InvalidArgument, `range "${value}" ends before it begins`);
}
