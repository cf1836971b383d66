import ipaddr from "ipaddr.js";
import { Code, NsmError } from "../core/index.js";
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
  const [address = "", length, ...rest] = text.split("/");
  const v4 = ipaddr.IPv4.isValidFourPartDecimal(address);
  const v6 = !v4 && ipaddr.IPv6.isValid(address) && !address.includes("%");
  const bits = v4 ? 32 : 128;
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : NaN;
  if ((!v4 && !v6) || rest.length > 0 || !(prefix >= 0 && prefix <= bits)) {
    throw new NsmError(Code.InvalidArgument, `"${text}" is not an IP address with an optional /length`);
  }
  return {
    family: v4 ? AF_INET : AF_INET6,
    bytes: Buffer.from(ipaddr.parse(address).toByteArray()),
    length: prefix,
  };
}

/** As {@link parseIp}, with the bits after the prefix cleared: a route's or rule's destination. */
export function parsePrefix(text: string): IpBytes {
  const ip = parseIp(text);
  const bytes = Buffer.from(ip.bytes);
  for (let bit = ip.length; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
  return { ...ip, bytes };
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
