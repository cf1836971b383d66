import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { Code, NsmError } from "../core/index.js";

/** The IP version of an address. */
export type Family = 4 | 6;

/** An IPv4 or IPv6 address as a number, so that neighbors and ranges are plain arithmetic. */
export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}

/** The number of bits in an address. */
export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/**
 * Parses an address. An IPv4 address in IPv6 notation (`::ffff:10.0.0.1`) becomes the IPv4 address.
 *
 * @throws NsmError INVALID_ARGUMENT for any other text, including short forms (`10.1`), octal numbers and
 * zones (`fe80::1%eth0`)
 */
export function parseAddress(text: string): IpAddress {
  if (isIP(text) === 0 || text.includes("%")) {
    throw new NsmError(
      Code.InvalidArgument,
      `"${text}" is not an IP address: expected IPv4 (10.0.0.1) or IPv6 (fd00::1)`,
    );
  }
  return addressFromBytes(ipaddr.process(text).toByteArray());
}

/** Formats an address in its canonical form (RFC 5952 for IPv6). */
export function formatAddress(address: IpAddress): string {
  const parsed = ipaddr.fromByteArray([...addressToBytes(address)]);
  return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString();
}

/** Converts an address to its 4 or 16 bytes in network order, the form that the kernel expects. */
export function addressToBytes({ family, value }: IpAddress): Uint8Array {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/** Converts 4 or 16 bytes in network order to an address. */
export function addressFromBytes(bytes: ArrayLike<number>): IpAddress {
  let value = 0n;
  for (let i = 0; i < bytes.length; i++) value = (value << 8n) | BigInt(bytes[i]!);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** Whether two addresses are equal. */
export function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.value === b.value;
}
