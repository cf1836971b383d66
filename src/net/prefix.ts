import { Code, NsmError } from "../core/index.js";
import { bitsOf, formatAddress, parseAddress, type IpAddress } from "./address.js";

/** An address and its prefix length: `10.0.0.1/24`. The host part is kept. */
export interface Prefix {
  readonly address: IpAddress;
  readonly length: number;
}

// Length of the fixed part before an IPv4 address in IPv6 notation (`::ffff:0:0/96`).
const MAPPED_BITS = 96;

/**
 * Parses a prefix.
 *
 * @throws NsmError INVALID_ARGUMENT if the length is missing or too long, or if the address is invalid
 */
export function parsePrefix(text: string): Prefix {
  const [, addressText, lengthText] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  if (addressText === undefined) {
    throw new NsmError(
      Code.InvalidArgument,
      `"${text}" is not a prefix: expected ADDRESS/LENGTH, for example 10.0.0.0/24`,
    );
  }
  const address = parseAddress(addressText);
  const mapped = address.family === 4 && addressText.includes(":");
  const length = Number(lengthText) - (mapped ? MAPPED_BITS : 0);
  const bits = bitsOf(address.family);
  if (length < 0 || length > bits) {
    const [least, most] = mapped ? [MAPPED_BITS, MAPPED_BITS + bits] : [0, bits];
    throw new NsmError(
      Code.InvalidArgument,
      `"${text}" is not a prefix: length ${Number(lengthText)} is outside ${least} to ${most}`,
    );
  }
  return { address, length };
}

/** Parses a prefix. An address without a length becomes the network of that one address. */
export function parsePrefixOrAddress(text: string): Prefix {
  return text.includes("/") ? parsePrefix(text) : hostPrefix(parseAddress(text));
}

/** Formats a prefix as `10.0.0.1/24`. Keeps the host part. */
export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** The network that holds only this address: `/32` or `/128`. */
export function hostPrefix(address: IpAddress): Prefix {
  return { address, length: bitsOf(address.family) };
}

/** The first and the last address of the prefix's network, as numbers. */
export function boundsOf({ address, length }: Prefix): { readonly first: bigint; readonly last: bigint } {
  const hostMask = (1n << BigInt(bitsOf(address.family) - length)) - 1n;
  const last = address.value | hostMask;
  return { first: last - hostMask, last };
}

/** The prefix without its host part: the network of `10.0.0.1/24` is `10.0.0.0/24`. */
export function networkOf(prefix: Prefix): Prefix {
  return { address: { family: prefix.address.family, value: boundsOf(prefix).first }, length: prefix.length };
}

/** Whether the prefix's network contains the address. */
export function prefixHas(prefix: Prefix, address: IpAddress): boolean {
  if (prefix.address.family !== address.family) return false;
  const { first, last } = boundsOf(prefix);
  return first <= address.value && address.value <= last;
}
