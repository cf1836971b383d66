import { type Attribute, be32, bytes, nested, text } from "../netlink/attributes.js";
import { NLM_F_CREATE, type Request } from "../netlink/message.js";
import { type Interval, successor } from "./intervals.js";
import { dataValue, expression, type Family, NFT_MSG, nftMessage, register } from "./encoding.js";

const SET = {
  TABLE: 1,
  NAME: 2,
  FLAGS: 3,
  KEY_TYPE: 4,
  KEY_LEN: 5,
  DATA_TYPE: 6,
  DATA_LEN: 7,
  DESC: 9,
  ID: 10,
  USERDATA: 13,
} as const;
const DESC_SIZE = 1;
/** For nft(8), which otherwise prints the values in reverse: type, length, byte order of the values. */
const hostOrder = Buffer.of(0, 4, 1, 0, 0, 0);
const bigEndian = Buffer.of(0, 4, 2, 0, 0, 0);
const ELEMENTS = { TABLE: 1, SET: 2, LIST: 3, SET_ID: 4 } as const;
const ELEM = { KEY: 1, DATA: 2, FLAGS: 3 } as const;
const LOOKUP = { SET: 1, SREG: 2, DREG: 3, SET_ID: 4, FLAGS: 5 } as const;
const LIST_ELEM = 1;
const ANONYMOUS = 1;
const CONSTANT = 2;
const INTERVAL = 4;
const MAP = 8;
const INTERVAL_END = 1;
const INVERTED = 1;

/** The kernel replaces %d by a number. Within the transaction, the id identifies the set. */
const name = "__set%d";
/** The list in one message must fit into an attribute, which holds up to 64 KiB. */
const elementsPerMessage = 1000;

/** Values that a rule looks up. The kernel deletes the set together with the rule. */
export interface AnonymousSet {
  readonly intervals: readonly Interval[];
  /** nft's type number for the keys (7 IPv4, 8 IPv6, 13 port …). It determines how nft(8) prints them. */
  readonly keyType: number;
  readonly hostOrder: boolean;
  /** Turns the set into a map: one value per key, in host byte order, in the order of the keys. */
  readonly data?: { readonly type: number; readonly values: readonly Buffer[] } | undefined;
}

/**
 * The expression that checks whether the register's value is (or is not) in the set. For a map, it loads the
 * mapped value into the register `into`.
 */
export function lookup(
  setId: number,
  { inverted = false, into }: { readonly inverted?: boolean; readonly into?: number },
): Attribute {
  const flags = inverted ? [be32(LOOKUP.FLAGS, INVERTED)] : [];
  if (into !== undefined) flags.push(be32(LOOKUP.DREG, into));
  const set = [text(LOOKUP.SET, name), be32(LOOKUP.SREG, register), be32(LOOKUP.SET_ID, setId)];
  return expression("lookup", ...set, ...flags);
}

/** The messages that create the set. They precede the rule that uses it. */
export function setMessages(family: Family, table: string, id: number, set: AnonymousSet): Request[] {
  const exact = set.intervals.every(({ first, last }) => first.equals(last));
  const elements = set.intervals.flatMap((interval, i) =>
    exact ? [element(interval.first, { data: set.data?.values[i] })] : bounds(interval),
  );
  const data = set.data && [
    be32(SET.DATA_TYPE, set.data.type),
    be32(SET.DATA_LEN, set.data.values[0]!.length),
  ];
  const make = nftMessage(
    NFT_MSG.NEWSET,
    family,
    [
      text(SET.TABLE, table),
      text(SET.NAME, name),
      be32(SET.FLAGS, ANONYMOUS | CONSTANT | (exact ? 0 : INTERVAL) | (data ? MAP : 0)),
      be32(SET.KEY_TYPE, set.keyType),
      be32(SET.KEY_LEN, set.intervals[0]!.first.length),
      ...(data ?? []),
      be32(SET.ID, id),
      nested(SET.DESC, be32(DESC_SIZE, elements.length)),
      bytes(SET.USERDATA, set.hostOrder ? hostOrder : bigEndian),
    ],
    NLM_F_CREATE,
  );
  const messages = [make];
  for (let i = 0; i < elements.length; i += elementsPerMessage) {
    const list = nested(ELEMENTS.LIST, ...elements.slice(i, i + elementsPerMessage));
    const to = [text(ELEMENTS.TABLE, table), text(ELEMENTS.SET, name), be32(ELEMENTS.SET_ID, id)];
    messages.push(nftMessage(NFT_MSG.NEWSETELEM, family, [...to, list], NLM_F_CREATE));
  }
  return messages;
}

/** An interval takes two elements: its start and, unless it reaches the maximum, the value after its end. */
function bounds({ first, last }: Interval): Attribute[] {
  const end = successor(last);
  return end ? [element(first), element(end, { flags: INTERVAL_END })] : [element(first)];
}

function element(
  key: Buffer,
  { data, flags }: { data?: Buffer | undefined; flags?: number } = {},
): Attribute {
  const parts = [dataValue(ELEM.KEY, key)];
  if (data) parts.push(dataValue(ELEM.DATA, data));
  if (flags !== undefined) parts.push(be32(ELEM.FLAGS, flags));
  return nested(LIST_ELEM, ...parts);
}
