import { InvalidArgumentError } from "commander";
import { Code, codeOf, NsmError } from "../../core/index.js";
import { assertListenUrl } from "../../inbound/listener.js";
import { parsePrefix } from "../../net/index.js";
import { targetOf } from "../../wire/index.js";

const UNITS_MS = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Parses a duration in Go's format (`750ms`, `10m`, `1h30m`, `-1m`) to milliseconds. */
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

/** Parses a {@link duration} above zero. */
export function positiveDuration(text: string): number {
  const ms = duration(text);
  if (ms <= 0) throw new InvalidArgumentError('Allowed is more than 0, such as "750ms", "10m" or "1h30m".');
  return ms;
}

/** Checks the URL of another process. Returns it unchanged. */
export function dialUrl(text: string): string {
  checked(targetOf)(text);
  return text;
}

/** Checks a URL to serve on. Returns it unchanged. */
export function listenUrl(text: string): string {
  checked(assertListenUrl)(text);
  return text;
}

/** Parses `ADDRESS:PORT`. IPv6 addresses need brackets. */
export function addressAndPort(text: string): { readonly address: string; readonly port: number } {
  const [, address, port] = /^(.*):(\d+)$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new InvalidArgumentError("Allowed is ADDRESS:PORT, such as 127.0.0.1:9090 or [::1]:9090.");
  }
  return { address: address!.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
}

/** Where a process has its identity from: a SPIFFE Workload API, or a directory of PEM files. */
export type IdentitySource = "spiffe" | { readonly files: string };

/** Parses the source of the process's identity: `spiffe` or `files=DIR`. */
export function identitySource(text: string): IdentitySource {
  if (text === "spiffe") return text;
  const directory = /^files=(.+)$/.exec(text)?.[1];
  if (directory === undefined) {
    throw new InvalidArgumentError(
      "Allowed is spiffe, or files=DIR, a directory with ca.pem, svid.pem and key.pem.",
    );
  }
  return { files: directory };
}

/** Parses a comma-separated list. Drops empty items. */
export function list(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** Parses a {@link list} with at least one item, and appends it to the earlier values of the flag. */
export function repeatable(text: string, before: readonly string[] | undefined): string[] {
  const items = list(text);
  if (items.length === 0) throw new InvalidArgumentError("Allowed is at least one value between the commas.");
  return [...(before ?? []), ...items];
}

/** Parses labels `k=v,k2=v2`. Also accepts `k:v`, like the Go programs. */
export function labels(text: string): Record<string, string> {
  const entries = list(text).map((item) => {
    const match = /^([^=:]+)[=:](.*)$/.exec(item);
    if (!match) throw new InvalidArgumentError(`"${item}" is not a label. Allowed is k=v,… or k:v,….`);
    return [match[1]!.trim(), match[2]!.trim()] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * Parses groups of prefixes: `a,b` are two groups of one, `[a,b],c` is a group of two and a group of one.
 * Each group gives a connection one pair of addresses, from its first prefix with free addresses.
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

/** Parses {@link prefixGroups} and appends them to the earlier values of the flag. */
export function repeatableGroups(text: string, before: readonly string[][] | undefined): string[][] {
  return [...(before ?? []), ...prefixGroups(text)];
}

/** Parses one of a few words, case-insensitively. */
export function oneOf<T extends string>(...allowed: readonly T[]): (text: string) => T {
  return (text) => {
    const found = allowed.find((word) => word.toLowerCase() === text.toLowerCase());
    if (!found) throw new InvalidArgumentError(`Allowed are ${allowed.join(", ")}.`);
    return found;
  };
}

/** Parses a boolean with the spellings of Go's ParseBool. */
export function bool(text: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  throw new InvalidArgumentError("Allowed are true and false.");
}

/** Adapts a parser of this library to a flag: its NsmError becomes the flag's error. */
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

/** Invalid flags, or flags that conflict. The program exits with code 2. */
export class ConfigurationError extends NsmError {}

/** Creates the error for a configuration in which no single flag is wrong. */
export function badConfiguration(message: string, options?: ErrorOptions): NsmError {
  return new ConfigurationError(Code.InvalidArgument, message, options);
}

/**
 * Runs work that needs a flag's value. If it fails, the error names the flag and the program exits with code
 * 2.
 */
export function withFlag<T>(flag: string, value: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const code = codeOf(cause);
    if (code !== Code.InvalidArgument && code !== Code.NotFound) throw cause;
    throw badConfiguration(`${flag} "${value}" cannot be used`, { cause });
  }
}
