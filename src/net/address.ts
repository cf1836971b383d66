import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { Code, NsmError } from "../core/index.js";

/** Which protocol an address belongs to. */
export type Family = 4 | 6;

/** An IPv4 or IPv6 address as a number, so that neighbours and ranges are arithmetic. */
export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}

/** How many bits an address has. */
export function bitsOf(family: Family): number {
  return family === 4 ? 32 : 128;
}

/**
 * An address from its text. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
 *
 * @throws NsmError INVALID_ARGUMENT for everything else: short forms (`10.1`), octal, zones (`fe80::1%eth0`).
 */
export function parseAddress(text: string): IpAddress {
  if (isIP(text) === 0 || text.includes("%")) {
    throw new NsmError(
      Code.InvalidArgument,
      `"${text}" is no IP address: four decimal numbers (10.0.0.1) or IPv6 (fd00::1) are allowed`,
    );
  }
  return addressFromBytes(ipaddr.process(text).toByteArray());
}

/** The shortest usual text of an address (RFC 5952). */
export function formatAddress(address: IpAddress): string {
  const parsed = ipaddr.fromByteArray([...addressToBytes(address)]);
  return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString();
}

/** The 4 or 16 bytes of an address in network order, as the kernel wants them. */
export function addressToBytes({ family, value }: IpAddress): Uint8Array {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/** The address in 4 or 16 bytes in network order. */
export function addressFromBytes(bytes: ArrayLike<number>): IpAddress {
  let value = 0n;
  for (let i = 0; i < bytes.length; i++) value = (value << 8n) | BigInt(bytes[i]!);
  return { family: bytes.length === 4 ? 4 : 6, value };
}

/** Whether two addresses are one. */
export function sameAddress(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.value === b.value;
}
