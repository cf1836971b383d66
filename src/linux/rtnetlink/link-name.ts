import { Code, NsmError } from "../../core/index.js";

/** The longest interface name Linux allows, in bytes. */
export const longestLinkName = 15;
const longestAlias = 255;

/** The name back, or INVALID_ARGUMENT for one that Linux would refuse or understand otherwise (`%d`). */
export function assertLinkName(name: string): string {
  const length = Buffer.byteLength(name);
  const usable = length > 0 && !/[/:%\s\x00-\x1f\x7f]/.test(name) && name !== "." && name !== "..";
  if (usable && length <= longestLinkName) return name;
  throw new NsmError(
    Code.InvalidArgument,
    usable
      ? `interface name "${name}" has ${length} bytes, allowed are ${longestLinkName}`
      : `"${name}" is no interface name: it must have 1 to ${longestLinkName} bytes without white space, "/", ":" and "%"`,
  );
}

export function assertAlias(alias: string): string {
  const length = Buffer.byteLength(alias);
  if (length <= longestAlias && !alias.includes("\0")) return alias;
  throw new NsmError(
    Code.InvalidArgument,
    `a link alias of ${length} bytes is too long, allowed are ${longestAlias}`,
  );
}

export function assertRange(what: string, value: number, lowest: number, highest: number): number {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new NsmError(
    Code.InvalidArgument,
    `${what} ${value} is not a whole number from ${lowest} to ${highest}`,
  );
}
