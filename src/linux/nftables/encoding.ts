import { type Attribute, be32, bytes, nested, text } from "../netlink/attributes.js";
import type { Request } from "../netlink/message.js";

/** Constants of include/uapi/linux/netfilter/nf_tables.h. */
const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;

export const NFT_MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  DELCHAIN: 5,
  NEWRULE: 6,
  DELRULE: 8,
  NEWSET: 9,
  NEWSETELEM: 12,
  NEWOBJ: 18,
  GETOBJ: 19,
  DELOBJ: 20,
} as const;

/** The packets that a table sees: IPv4 and IPv6, bridged packets, or all packets of one device. */
export type Family = "inet" | "bridge" | "netdev";
const families: Readonly<Record<Family, number>> = { inet: 1, netdev: 5, bridge: 7 };

/** The register that every match loads. Wide enough for an IPv6 address or an interface name. */
export const register = 1;
/** Directly after {@link register}: a lookup of two values continues here. */
export const secondRegister = 2;
const verdictRegister = 0;

const EXPR_NAME = 1;
const EXPR_DATA = 2;
const DATA_VALUE = 1;
const DATA_VERDICT = 2;
const LIST_ELEM = 1;
const IMMEDIATE_DREG = 1;
const IMMEDIATE_DATA = 2;
const VERDICT_CODE = 1;
const VERDICT_CHAIN = 2;

/** nfgenmsg */
function header(family: number, resource = 0): Buffer {
  return Buffer.of(family, 0, resource >>> 8, resource & 255);
}

/** A message about tables. By default, the kernel acknowledges it only if it fails. */
export function nftMessage(
  operation: number,
  family: Family | undefined,
  attributes: readonly Attribute[],
  flags = 0,
): Request {
  const number = family === undefined ? 0 : families[family];
  return { type: (SUBSYSTEM << 8) | operation, flags, header: header(number), attributes, quiet: true };
}

/** Combines the requests to one transaction: the kernel applies all of them at once, or none. */
export function transaction(requests: readonly Request[]): Request[] {
  const mark = (type: number) => ({ type, flags: 0, header: header(0, SUBSYSTEM), quiet: true });
  return [mark(BATCH_BEGIN), ...requests, mark(BATCH_END)];
}

/** One expression of a rule: its kernel name and parameters. */
export function expression(name: string, ...parameters: readonly Attribute[]): Attribute {
  return nested(LIST_ELEM, text(EXPR_NAME, name), nested(EXPR_DATA, ...parameters));
}

export function dataValue(type: number, value: Uint8Array): Attribute {
  return nested(type, bytes(DATA_VALUE, value));
}

/** The expression that sets the verdict: accept 1, drop 0, jump -3, goto -4, return -5. */
export function verdict(code: number, chain?: string): Attribute {
  const parts = [be32(VERDICT_CODE, code), ...(chain === undefined ? [] : [text(VERDICT_CHAIN, chain)])];
  const data = nested(IMMEDIATE_DATA, nested(DATA_VERDICT, ...parts));
  return expression("immediate", be32(IMMEDIATE_DREG, verdictRegister), data);
}

export function familyOf(number: number): Family | undefined {
  return (Object.keys(families) as Family[]).find((family) => families[family] === number);
}
