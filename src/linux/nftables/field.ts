import { Code, NsmError } from "../../core/index.js";
import { type Attribute, be32 } from "../netlink/attributes.js";
import { type Interval, merged, numberBytes, prefixLength } from "./intervals.js";
import { lookup } from "./sets.js";
import type { Requirement, Statement } from "./statement.js";
import { dataValue, expression, register } from "./encoding.js";

const CMP = { SREG: 1, OP: 2, DATA: 3, EQ: 0, NEQ: 1 } as const;
const BITWISE = { SREG: 1, DREG: 2, LEN: 3, MASK: 4, XOR: 5 } as const;
const RANGE = { SREG: 1, OP: 2, FROM: 3, TO: 4 } as const;

/** A field of a packet that a rule can compare with values of type V. */
export interface Field<V> {
  /** Matches exactly this value, prefix or range. */
  eq(value: V): Statement;
  /** Matches if the field is none of these values. */
  not(value: V | readonly V[]): Statement;
  /** Matches any of these values, with one lookup for any number of them. */
  in(values: V | readonly V[]): Statement;
  /**
   * Matches if, within `mask`, exactly the bits in `bits` are set. For fields of one or two bytes, and the
   * mark.
   */
  masked(mask: number, bits: number): Statement;
}

export interface FieldDefinition<V> {
  /** The expression that loads the field into the register. */
  readonly load: Attribute;
  readonly requires?: readonly Requirement[];
  readonly width: number;
  readonly keyType: number;
  /** Whether the value is in host byte order instead of network byte order. */
  readonly hostOrder?: boolean;
  parse(value: V): Interval;
}

export function field<V>(definition: FieldDefinition<V>): Field<V> {
  const { keyType, hostOrder = false } = definition;
  const compare = (values: V | readonly V[], inverted: boolean): Statement => {
    const list = (Array.isArray(values) ? values : [values]) as readonly V[];
    const intervals = merged(list.map(definition.parse));
    const [only, ...others] = intervals;
    if (!only)
      throw new NsmError(Code.InvalidArgument, "a rule compares with an empty list: it could never match");
    return {
      requires: definition.requires ?? [],
      encode: (_family, useSet) =>
        others.length > 0
          ? [definition.load, lookup(useSet({ intervals, keyType, hostOrder }), { inverted })]
          : [definition.load, ...compareOne(only, inverted)],
    };
  };
  return {
    eq: (value) => compare(value, false),
    not: (values) => compare(values, true),
    in: (values) => compare(values, false),
    masked: (mask, bits) => ({
      requires: definition.requires ?? [],
      encode: () => {
        const number = (value: number) => {
          const bytes = numberBytes(value, definition.width as 1 | 2 | 4);
          return hostOrder ? bytes.reverse() : bytes;
        };
        return [definition.load, and(number(mask)), comparison(number(bits), false)];
      },
    }),
  };
}

/** The cheapest expressions that compare the register with one interval. */
function compareOne(interval: Interval, inverted: boolean): Attribute[] {
  const { first, last } = interval;
  const length = prefixLength(interval);
  if (length === first.length * 8) return [comparison(first, inverted)];
  if (length === undefined) {
    return [
      expression(
        "range",
        be32(RANGE.SREG, register),
        be32(RANGE.OP, inverted ? CMP.NEQ : CMP.EQ),
        dataValue(RANGE.FROM, first),
        dataValue(RANGE.TO, last),
      ),
    ];
  }
  const mask = Buffer.from(first.map((byte, i) => ~(byte ^ last[i]!) & 255));
  return [and(mask), comparison(first, inverted)];
}

export function comparison(value: Uint8Array, inverted: boolean): Attribute {
  const operation = be32(CMP.OP, inverted ? CMP.NEQ : CMP.EQ);
  return expression("cmp", be32(CMP.SREG, register), operation, dataValue(CMP.DATA, value));
}

/** Clears the bits of the register that are not set in the mask. */
export function and(mask: Uint8Array): Attribute {
  return bitwise(mask, Buffer.alloc(mask.length));
}

/**
 * Clears the bits of the register that are not set in the mask, then flips those that are set in `flipped`.
 */
export function bitwise(mask: Uint8Array, flipped: Uint8Array): Attribute {
  return expression(
    "bitwise",
    be32(BITWISE.SREG, register),
    be32(BITWISE.DREG, register),
    be32(BITWISE.LEN, mask.length),
    dataValue(BITWISE.MASK, mask),
    dataValue(BITWISE.XOR, flipped),
  );
}
