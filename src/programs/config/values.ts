import { InvalidArgumentError } from "commander";
import { Code, NsmError } from "../../core/index.js";
import { parsePrefix } from "../../net/index.js";
import { targetOf } from "../../outbound/index.js";

const UNITS_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** A duration in Go's form (`750ms`, `10m`, `1h30m`, `-1m`) in milliseconds. */
export function duration(text: string): number {
  const match = /^(-?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)$/.exec(text);
  if (!match) {
    if (text === "0") return 0;
    throw new InvalidArgumentError('Allowed is a number with a unit, such as "750ms", "10m" or "1h30m".');
  }
  let total = 0;
  for (const [, number, unit] of match[2]!.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(number) * UNITS_MS[unit as keyof typeof UNITS_MS];
  }
  return match[1] ? -total : total;
}

/** A {@link duration} that something can happen in: more than nothing. */
export function positiveDuration(text: string): number {
  const ms = duration(text);
  if (ms <= 0) throw new InvalidArgumentError('Allowed is more than 0, such as "750ms", "10m" or "1h30m".');
  return ms;
}

/** The URL of another process, as it was given. */
export function dialUrl(text: string): string {
  checked(targetOf)(text);
  return text;
}

/** A comma-separated list; empty items are dropped. */
export function list(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Like {@link list}, adding to what earlier mentions of the flag gave. */
export function repeatable(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...list(text)];
}

/** Labels `k=v,k2=v2`; `k:v` too, as the Go programs have it. */
export function labels(text: string): Record<string, string> {
  const entries = list(text).map((item) => {
    const match = /^([^=:]+)[=:](.*)$/.exec(item);
    if (!match) throw new InvalidArgumentError(`"${item}" is no label. Allowed is k=v,… or k:v,….`);
    return [match[1]!.trim(), match[2]!.trim()] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * Groups of prefixes: `a,b` are two groups of one, `[a,b],c` is a group of two and a group of one. Each group
 * gives a connection one pair of addresses, from the first of its prefixes that has room.
 */
export function prefixGroups(text: string): string[][] {
  const groups: string[][] = [];
  for (const match of text.matchAll(/\[([^[\]]*)\]|([^,[\]]+)|([[\]])/g)) {
    if (match[3])
      throw new InvalidArgumentError("Brackets do not match. Allowed is a prefix, a,b or [a,b],c.");
    const group = match[1] === undefined ? list(match[2]!) : list(match[1]);
    if (group.length > 0) groups.push(group);
  }
  for (const prefix of groups.flat()) checked(parsePrefix)(prefix);
  return groups;
}

/** Like {@link prefixGroups}, adding to what earlier mentions of the flag gave. */
export function repeatableGroups(text: string, before: readonly string[][] | undefined): string[][] {
  return [...(before ?? []), ...prefixGroups(text)];
}

/** One of a few words, upper or lower case. */
export function oneOf<T extends string>(...allowed: readonly T[]): (text: string) => T {
  return (text) => {
    const found = allowed.find((word) => word.toLowerCase() === text.toLowerCase());
    if (!found) throw new InvalidArgumentError(`Allowed are ${allowed.join(", ")}.`);
    return found;
  };
}

/** True for what Go's ParseBool takes as true, false for false. */
export function bool(text: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  throw new InvalidArgumentError("Allowed are true and false.");
}

/** Runs one of our own parsers for a flag: its NsmError becomes the flag's error. */
export function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof NsmError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

/** The error for a configuration that flags alone cannot refuse. */
export function badConfiguration(message: string): NsmError {
  return new NsmError(Code.InvalidArgument, message);
}
