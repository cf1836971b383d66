import ipaddr from "ipaddr.js";
import { Code, NsmError } from "../core/index.js";
import { addressToBytes, networkOf, parsePrefixOrAddress, type Prefix } from "../net/index.js";
import { AF_INET, AF_INET6 } from "./constants.js";

/** An address or prefix as the kernel takes it. */
export interface IpBytes {
  readonly family: typeof AF_INET | typeof AF_INET6;
  readonly bytes: Buffer;
  /** Prefix length; that of the whole address when none was written. */
  readonly length: number;
}

/** `10.0.0.1`, `2001:db8::1/64`: an address with an optional prefix length, its host bits kept. */
export function parseIp(text: string): IpBytes {
  return ipBytes(parsePrefixOrAddress(text));
}

/** As {@link parseIp}, with the bits after the prefix cleared: a route's or rule's destination. */
export function parsePrefix(text: string): IpBytes {
  return ipBytes(networkOf(parsePrefixOrAddress(text)));
}

function ipBytes({ address, length }: Prefix): IpBytes {
  const family = address.family === 4 ? AF_INET : AF_INET6;
  return { family, bytes: Buffer.from(addressToBytes(address)), length };
}

/** The shortest usual text of 4 or 16 address bytes. */
export function ipText(bytes: Uint8Array): string {
  return ipaddr.fromByteArray([...bytes]).toString();
}

/** `02:00:00:00:00:01` as six bytes. */
export function parseMac(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new NsmError(Code.InvalidArgument, `"${text}" is not a MAC address; allowed is 02:00:00:00:00:01`);
  }
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

/** Bytes as `02:00:00:00:00:01`. */
export function macText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("hex")
    .replace(/..(?=.)/g, "$&:");
}
