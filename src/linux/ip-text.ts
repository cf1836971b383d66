import ipaddr from "ipaddr.js";
import { Code, NsmError } from "../core/index.js";
import { addressToBytes, networkOf, parsePrefixOrAddress, type Prefix } from "../net/index.js";
import { AF_INET, AF_INET6 } from "./constants.js";

/** An address or prefix in the kernel's form. */
export interface IpBytes {
  readonly family: typeof AF_INET | typeof AF_INET6;
  readonly bytes: Buffer;
  /** Prefix length. Default: the full length of the address. */
  readonly length: number;
}

/** Parses an address with an optional prefix length: `10.0.0.1`, `2001:db8::1/64`. Keeps the host bits. */
export function parseIp(text: string): IpBytes {
  return ipBytes(parsePrefixOrAddress(text));
}

/** Like {@link parseIp}, but clears the host bits. For destinations of routes and rules. */
export function parsePrefix(text: string): IpBytes {
  return ipBytes(networkOf(parsePrefixOrAddress(text)));
}

function ipBytes({ address, length }: Prefix): IpBytes {
  const family = address.family === 4 ? AF_INET : AF_INET6;
  return { family, bytes: Buffer.from(addressToBytes(address)), length };
}

/** Formats 4 or 16 address bytes in canonical form. */
export function ipText(bytes: Uint8Array): string {
  return ipaddr.fromByteArray([...bytes]).toString();
}

/** Parses a MAC address such as `02:00:00:00:00:01` to six bytes. */
export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new NsmError(
      Code.InvalidArgument,
      `"${text}" is not a MAC address: expected the form 02:00:00:00:00:01`,
    );
  }
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

/** Formats bytes as `02:00:00:00:00:01`. */
export function macText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/..(?=.)/g, "$&:");
}
