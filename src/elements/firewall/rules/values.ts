import { z } from "zod";
import { Code, explain, NsmError } from "../../../core/index.js";
import { parsePrefixOrAddress, type Prefix } from "../../../net/index.js";
import { icmpTypeNames } from "./icmp-types.js";
import { Ip, type NumberRange } from "./rule.js";

/** A zod schema for one value of a rule. The message of an error from `parse` becomes the message of the issue. */
export function parsed<T>(parse: (value: unknown) => T) {
  return z.unknown().transform((value, ctx) => {
    try {
      return parse(value);
    } catch (error) {
      ctx.addIssue({ code: "custom", message: explain(error) });
      return z.NEVER;
    }
  });
}

/** A zod schema for one value or a list of values. */
export function oneOrMany<T>(parse: (value: unknown) => T) {
  return z.preprocess(
    (value) => (Array.isArray(value) ? (value as unknown[]) : [value]),
    z.array(parsed(parse)).min(1, "an empty list matches nothing: omit the key to allow any"),
  );
}

/** Creates the error for an invalid value: the value, and what is allowed. */
export function wrong(value: unknown, allowed: string): NsmError {
  const shown = value === undefined ? "no value" : `invalid value ${JSON.stringify(value)}`;
  return new NsmError(Code.InvalidArgument, `${shown}: allowed ${allowed}`);
}

export function word<T extends string>(...allowed: readonly T[]): (value: unknown) => T {
  return (value) => {
    const found = allowed.find((one) => one === value);
    if (found === undefined) throw wrong(value, `are ${allowed.join(", ")}`);
    return found;
  };
}

export function wholeNumber(highest: number): (value: unknown) => number {
  return (value) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= highest) return value;
    throw wrong(value, `is a whole number from 0 to ${highest}`);
  };
}

export function ruleName(value: unknown): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw wrong(value, "is a non-empty string");
}

export function prefix(value: unknown): Prefix {
  if (typeof value === "string") return parsePrefixOrAddress(value);
  throw wrong(value, "is a prefix (10.0.0.0/24, fd00::/64), an address, or a list of them");
}

export function protocol(value: unknown): keyof typeof Ip | "any" | number {
  if (value === "any" || (typeof value === "string" && Object.hasOwn(Ip, value))) {
    return value as keyof typeof Ip | "any";
  }
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 255) return value;
  throw wrong(value, `are any, ${Object.keys(Ip).join(", ")} and the numbers 1 to 255`);
}

/** 80, "80" or "8000-8010". */
export function portRange(value: unknown): NumberRange {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value)) ?? [];
  const range = { first: Number(first), last: Number(last) };
  if (first === undefined || range.first > 65_535 || range.last > 65_535) {
    throw wrong(value, 'is a port from 0 to 65535, a range like "8000-8010", or a list of them');
  }
  if (range.first > range.last) {
    throw new NsmError(Code.InvalidArgument, `invalid range "${String(value)}": its end is below its start`);
  }
  return range;
}

/** Parses a number, or the name of a type in at least one IP version. */
export function icmpTypeOrName(value: unknown): number | string {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255) return value;
  if (typeof value === "string" && icmpTypeNames.includes(value)) return value;
  throw wrong(value, `are the numbers 0 to 255 and ${icmpTypeNames.join(", ")}`);
}
