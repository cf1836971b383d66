import { Code, NsmError } from "../core/index.js";
import { bitsOf, formatAddress, parseAddress, type IpAddress } from "./address.js";

/** An address and how many of its leading bits name the network: `10.0.0.1/24`. The host part is kept. */
export interface Prefix {
  readonly address: IpAddress;
  readonly length: number;
}

// An IPv4 network written as IPv6 has these bits before its own.
const MAPPED_BITS = 96;

/**
 * A prefix from its text.
 *
 * @throws NsmError INVALID_ARGUMENT without a length, with one too long, and for what is no address.
 */
export function parsePrefix(text: string): Prefix {
  const [, addressText, lengthText] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  if (addressText === undefined) {
    throw new NsmError(
      Code.InvalidArgument,
      `"${text}" is no prefix: ADDRESS/LENGTH is allowed, like 10.0.0.0/24`,
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
      `"${text}" is no prefix: the length is ${Number(lengthText)}, ${least} to ${most} is allowed`,
    );
  }
  return { address, length };
}

/** A prefix from its text, or the network of one address when there is no length. */
export function parsePrefixOrAddress(text: string): Prefix {
  return text.includes("/") ? parsePrefix(text) : hostPrefix(parseAddress(text));
}

/** `10.0.0.1/24`, the host part as it was given. */
export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** The network of one address: `/32` or `/128`. */
export function hostPrefix(address: IpAddress): Prefix {
  return { address, length: bitsOf(address.family) };
}

/** The first and the last address of the prefix's network, as numbers. */
export function boundsOf({ address, length }: Prefix): { readonly first: bigint; readonly last: bigint } {
  const hostMask = (1n << BigInt(bitsOf(address.family) - length)) - 1n;
  const last = address.value | hostMask;
  return { first: last - hostMask, last };
}

/** The prefix without its host part: `10.0.0.1/24` is in the network `10.0.0.0/24`. */
export function networkOf(prefix: Prefix): Prefix {
  return { address: { family: prefix.address.family, value: boundsOf(prefix).first }, length: prefix.length };
}

/** Whether the address lies in the prefix's network. */
export function prefixHas(prefix: Prefix, address: IpAddress): boolean {
  if (prefix.address.family !== address.family) return false;
  const { first, last } = boundsOf(prefix);
  return first <= address.value && address.value <= last;
}
