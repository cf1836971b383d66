import { type Attribute, be32, u8 } from "../netlink/attributes.js";
import { assertRange } from "../rtnetlink/link-name.js";
import { bitwise, field, type Field } from "./field.js";
import { type Port, linkKey, loadLinkName } from "./fields.js";
import { addressInterval, type Interval, numberInterval } from "./intervals.js";
import { lookup } from "./sets.js";
import { plain, type Statement } from "./statement.js";
import { expression, register } from "./encoding.js";

const CT = { DREG: 1, KEY: 2, DIRECTION: 3, SREG: 4 } as const;
const CT_KEY = {
  MARK: 3,
  L3PROTOCOL: 7,
  PROTOCOL: 10,
  PROTO_SRC: 11,
  PROTO_DST: 12,
  ZONE: 17,
  SRC_IP: 19,
  DST_IP: 20,
  SRC_IP6: 21,
  DST_IP6: 22,
} as const;
const ORIGINAL = 0;
/** nft's type numbers for the values. */
const TYPE = { integer: 4, ipv4: 7, ipv6: 8, protocol: 12, port: 13, mark: 19, link: 41 } as const;

function load(key: number, ...more: readonly Attribute[]): Attribute {
  return expression("ct", be32(CT.KEY, key), be32(CT.DREG, register), ...more);
}

const original = u8(CT.DIRECTION, ORIGINAL);

function hostNumber(value: number, width: 2 | 4): Buffer {
  const data = Buffer.alloc(width);
  data.writeUIntLE(value, 0, width);
  return data;
}

const mark = field<number>({
  load: load(CT_KEY.MARK),
  width: 4,
  keyType: TYPE.mark,
  hostOrder: true,
  parse: (value) => {
    const bytes = hostNumber(assertRange("connection mark", value, 0, 0xffffffff), 4);
    return { first: bytes, last: bytes };
  },
});

/** The mark of the packet's connection. {@link setCtMark} sets it. */
export function ctMark(): Field<number> {
  return mark;
}

interface OriginalFields {
  /** Source and destination addresses of IPv4 connections. */
  "ip saddr": Field<string>;
  "ip daddr": Field<string>;
  /** Source and destination addresses of IPv6 connections. */
  "ip6 saddr": Field<string>;
  "ip6 daddr": Field<string>;
  nfproto: Field<"ipv4" | "ipv6">;
  protocol: Field<number>;
  "proto-src": Field<Port>;
  /** Destination port. For ICMP: the type in the high byte, the code in the low byte. */
  "proto-dst": Field<Port>;
}

/**
 * A property of the packet that started the connection. A reply has the properties of its request, and an
 * ICMP error those of the connection it concerns.
 */
export function ctOriginal<K extends keyof OriginalFields>(name: K): OriginalFields[K] {
  return originalFields[name];
}

function addresses(key: number, version: 4 | 6): Field<string> {
  return field({
    load: load(key, original),
    width: version === 4 ? 4 : 16,
    keyType: version === 4 ? TYPE.ipv4 : TYPE.ipv6,
    parse: (value) => addressInterval(value, version),
  });
}

function number<V extends number | string>(key: number, width: 1 | 2, type: number, what: string): Field<V> {
  return field({
    load: load(key, ...(width === 2 ? [original] : [])),
    width,
    keyType: type,
    parse: (value) => numberInterval(value, width, what),
  });
}

const originalFields: OriginalFields = {
  "ip saddr": addresses(CT_KEY.SRC_IP, 4),
  "ip daddr": addresses(CT_KEY.DST_IP, 4),
  "ip6 saddr": addresses(CT_KEY.SRC_IP6, 6),
  "ip6 daddr": addresses(CT_KEY.DST_IP6, 6),
  nfproto: field({
    load: load(CT_KEY.L3PROTOCOL),
    width: 1,
    keyType: TYPE.integer,
    parse: (value) => numberInterval(value === "ipv4" ? 2 : 10, 1, "IP version"),
  }),
  protocol: number(CT_KEY.PROTOCOL, 1, TYPE.protocol, "IP protocol"),
  "proto-src": number(CT_KEY.PROTO_SRC, 2, TYPE.port, "port"),
  "proto-dst": number(CT_KEY.PROTO_DST, 2, TYPE.port, "port"),
};

/** A number for each link. Packets of other links do not match. */
export type NumberByLink = ReadonlyMap<string, number>;

/** Marks the packet's connection with the number of its incoming or outgoing link. */
export function setCtMark(link: "iifname" | "oifname", marks: NumberByLink): Statement {
  return byLink(
    link,
    marks,
    4,
    TYPE.mark,
    expression("ct", be32(CT.KEY, CT_KEY.MARK), be32(CT.SREG, register)),
  );
}

/** Sets the bits in `mask` of the connection's mark to those of `bits`. */
export function setCtMarkBits(mask: number, bits: number): Statement {
  return plain(
    load(CT_KEY.MARK),
    bitwise(hostNumber(~mask >>> 0, 4), hostNumber(bits, 4)),
    expression("ct", be32(CT.KEY, CT_KEY.MARK), be32(CT.SREG, register)),
  );
}

/**
 * Tracks the packet's connection in the zone of its incoming link. Connections that start in different zones
 * are distinct, even with equal addresses and ports. The zone applies to the original direction: replies can
 * come from any link. Use it in a chain with a priority below -200.
 */
export function setCtZone(zones: NumberByLink): Statement {
  const set = expression("ct", be32(CT.KEY, CT_KEY.ZONE), be32(CT.SREG, register), original);
  return byLink("iifname", zones, 2, TYPE.integer, set);
}

function byLink(
  link: "iifname" | "oifname",
  numbers: NumberByLink,
  width: 2 | 4,
  dataType: number,
  set: Attribute,
): Statement {
  const names = [...numbers.keys()];
  return {
    requires: [],
    encode: (_family, useSet) => {
      const intervals = names.map((name): Interval => ({ first: linkKey(name), last: linkKey(name) }));
      const values = names.map((name) => hostNumber(numbers.get(name)!, width));
      const id = useSet({ intervals, keyType: TYPE.link, hostOrder: true, data: { type: dataType, values } });
      return [loadLinkName(link), lookup(id, { into: register }), set];
    },
  };
}
