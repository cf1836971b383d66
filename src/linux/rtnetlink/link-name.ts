import { MAX_INTERFACE_NAME } from "../../api/index.js";
import { Code, NsmError } from "../../core/index.js";

const longestAlias = 255;

/** Returns the name. Throws INVALID_ARGUMENT if Linux would reject it or interpret it (`%d`). */
export function assertLinkName(name: string): string {
  const isUsable = !/[/:%\s\x00-\x1f\x7f]/.test(name) && !["", ".", ".."].includes(name);
  if (isUsable && Buffer.byteLength(name) <= MAX_INTERFACE_NAME) return name;
  throw new NsmError(
    Code.InvalidArgument,
    `invalid interface name "${name}": allowed are 1 to ${MAX_INTERFACE_NAME} bytes without white space, "/", ":" or "%"`,
  );
}

export function assertAlias(alias: string): string {
  const length = Buffer.byteLength(alias);
  if (length <= longestAlias && !alias.includes("\0")) return alias;
  throw new NsmError(
    Code.InvalidArgument,
    `a link alias of ${length} bytes is too long: the limit is ${longestAlias}`,
  );
}

export function assertRange(what: string, value: number, lowest: number, highest: number): number {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return value;
  throw new NsmError(
    Code.InvalidArgument,
    `${what} ${value} is not a whole number from ${lowest} to ${highest}`,
  );
}
