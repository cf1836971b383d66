import { InvalidArgumentError } from "commander";
import { Code, codeOf, NsmError } from "../../core/index.js";
import { assertListenUrl } from "../../inbound/index.js";
import { parsePrefix } from "../../net/index.js";
import { targetOf } from "../../wire/index.js";

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

/** The URL to serve on, as it was given. */
export function listenUrl(text: string): string {
  checked(assertListenUrl)(text);
  return text;
}

/** `ADDRESS:PORT`; IPv6 addresses stand in brackets. */
export function addressAndPort(text: string): { readonly address: string; readonly port: number } {
  const [, address, port] = /^(.*):(\d+)$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new InvalidArgumentError("Allowed is ADDRESS:PORT, such as 127.0.0.1:9090 or [::1]:9090.");
  }
  return { address: address!.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}

/** The source of the process's identity: `files=DIR`. */
export function identitySource(text: string): { readonly files: string } {
  const directory = /^files=(.+)$/.exec(text)?.[1];
  if (directory === undefined) {
    throw new InvalidArgumentError("Allowed is files=DIR, a directory with ca.pem, svid.pem and key.pem.");
  }
  return { files: directory };
}

/** A comma-separated list; empty items are dropped. */
export function list(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Like {@link list}, but for at least one item, adding to what earlier mentions of the flag gave. */
export function repeatable(text: string, before: readonly string[] | undefined): string[] {
  const items = list(text);
  if (items.length === 0) throw new InvalidArgumentError("Allowed is at least one value between the commas.");
  return [...(before ?? []), ...items];
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
  if (groups.length === 0) throw new InvalidArgumentError("Allowed is a prefix, a,b or [a,b],c.");
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

/** Flags that are wrong, or do not go together: the program exits with 2. */
export class ConfigurationError extends NsmError {}

/** The error for a configuration that no flag is wrong in by itself. */
export function badConfiguration(message: string, options?: ErrorOptions): NsmError {
  return new ConfigurationError(Code.InvalidArgument, message, options);
}

/** Runs what needs a flag's value. If the value is wrong, the error names the flag, and the program exits with 2. */
export function withFlag<T>(flag: string, value: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const code = codeOf(cause);
    if (code !== Code.InvalidArgument && code !== Code.NotFound) throw cause;
    throw badConfiguration(`${flag} "${value}" cannot be used`, { cause });
  }
}
