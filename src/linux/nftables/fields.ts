import { Code, NsmError } from "../../core/index.js";
import { type Attribute, be32 } from "../netlink/attributes.js";
import { assertLinkName, assertRange } from "../rtnetlink/link-name.js";
import { comparison, field, type Field } from "./field.js";
import { addressInterval, type Interval, numberInterval } from "./intervals.js";
import { plain, type Requirement, type Statement } from "./statement.js";
import { expression, type Family, register } from "./encoding.js";

const META = {
  DREG: 1,
  KEY: 2,
  PROTOCOL: 1,
  MARK: 3,
  IIFNAME: 6,
  OIFNAME: 7,
  NFPROTO: 15,
  L4PROTO: 16,
} as const;
const PAYLOAD = { DREG: 1, BASE: 2, OFFSET: 3, LEN: 4 } as const;
const link = 0;
const network = 1;
const transport = 2;

/** nft's type numbers for the values, so that nft(8) prints them correctly. */
const KEY = { protocol: 2, integer: 4, ipv4: 7, ipv6: 8, ethernet: 9, port: 13, name: 41 } as const;

const protocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
/** An IP protocol, by its name or by its number. */
export type Protocol = keyof typeof protocols | number;

function protocolNumber(protocol: Protocol): number {
  return typeof protocol === "number" ? protocol : protocols[protocol];
}

const loadMeta = (key: number) => expression("meta", be32(META.KEY, key), be32(META.DREG, register));

function loadPayload(base: number, offset: number, length: number, target = register): Attribute {
  const where = [be32(PAYLOAD.BASE, base), be32(PAYLOAD.OFFSET, offset), be32(PAYLOAD.LEN, length)];
  return expression("payload", be32(PAYLOAD.DREG, target), ...where);
}

/** The expression that loads the name of the packet's link into the register. */
export function loadLinkName(name: "iifname" | "oifname"): Attribute {
  return loadMeta(name === "iifname" ? META.IIFNAME : META.OIFNAME);
}

/** A link name in the form that the kernel compares. */
export function linkKey(name: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.write(assertLinkName(name));
  return bytes;
}

/** The expression that loads the packet's source address into a register. */
export function loadSource(version: 4 | 6, target: number): Attribute {
  return version === 4 ? loadPayload(network, 12, 4, target) : loadPayload(network, 8, 16, target);
}

/** The expressions that verify a requirement. */
export function requirement(required: Requirement, family: Family): Attribute[] {
  if ("transport" in required)
    return [loadMeta(META.L4PROTO), comparison(Buffer.of(required.transport), false)];
  const v4 = required.network === "ipv4";
  return family === "inet"
    ? [loadMeta(META.NFPROTO), comparison(Buffer.of(v4 ? 2 : 10), false)]
    : [loadMeta(META.PROTOCOL), comparison(v4 ? Buffer.of(0x08, 0x00) : Buffer.of(0x86, 0xdd), false)];
}

interface MetaFields {
  /** The incoming link. `"nsm*"` matches every name with that prefix (alone, not in a list). */
  iifname: Field<string>;
  /** The outgoing link. Not known yet in the input, prerouting and ingress hooks. */
  oifname: Field<string>;
  l4proto: Field<Protocol>;
  nfproto: Field<"ipv4" | "ipv6">;
  mark: Field<number>;
}

/** Metadata of a packet: `meta("iifname").eq("nsm-1")`. */
export function meta<K extends keyof MetaFields>(name: K): MetaFields[K] {
  return metaFields[name];
}

const metaFields: MetaFields = {
  iifname: nameField(META.IIFNAME),
  oifname: nameField(META.OIFNAME),
  l4proto: field({
    load: loadMeta(META.L4PROTO),
    width: 1,
    keyType: KEY.protocol,
    parse: (value) => numberInterval(protocolNumber(value), 1, "IP protocol"),
  }),
  nfproto: field({
    load: loadMeta(META.NFPROTO),
    width: 1,
    keyType: KEY.integer,
    parse: (value) => numberInterval(value === "ipv4" ? 2 : 10, 1, "IP version"),
  }),
  mark: field({
    load: loadMeta(META.MARK),
    width: 4,
    keyType: KEY.integer,
    hostOrder: true,
    parse: (value) => {
      const bytes = Buffer.alloc(4); // the kernel keeps this one in its own byte order
      bytes.writeUInt32LE(assertRange("mark", value, 0, 0xffffffff));
      return { first: bytes, last: bytes };
    },
  }),
};

function nameField(key: number): Field<string> {
  const load = loadMeta(key);
  const exact = field<string>({
    load,
    width: 16,
    keyType: KEY.name,
    hostOrder: true,
    parse: (value) => {
      const bytes = linkKey(value);
      return { first: bytes, last: bytes };
    },
  });
  const beginning = (value: string | readonly string[], inverted: boolean): Statement | undefined => {
    if (typeof value !== "string" || !value.endsWith("*")) return undefined;
    return plain(load, comparison(Buffer.from(assertLinkName(value.slice(0, -1))), inverted));
  };
  return {
    ...exact,
    eq: (value) => beginning(value, false) ?? exact.eq(value),
    not: (value) => beginning(value, true) ?? exact.not(value),
    in: (value) => beginning(value, false) ?? exact.in(value),
  };
}

function bytesField<V>(
  base: number,
  [offset, width]: readonly [offset: number, width: number],
  keyType: number,
  requires: readonly Requirement[],
  parse: (value: V) => Interval,
): Field<V> {
  return field({ load: loadPayload(base, offset, width), width, keyType, requires, parse });
}

const ipv4 = [{ network: "ipv4" }] as const;
const ipv6 = [{ network: "ipv6" }] as const;

/** IPv4 addresses: `ip("saddr").in(["10.0.0.0/8", "192.168.1.1-192.168.1.9"])`. Matches only IPv4 packets. */
export function ip(name: "saddr" | "daddr"): Field<string> {
  const parse = (value: string) => addressInterval(value, 4);
  return bytesField(network, [name === "saddr" ? 12 : 16, 4], KEY.ipv4, ipv4, parse);
}

/** IPv6 addresses. Matches only IPv6 packets. */
export function ip6(name: "saddr" | "daddr"): Field<string> {
  const parse = (value: string) => addressInterval(value, 6);
  return bytesField(network, [name === "saddr" ? 8 : 24, 16], KEY.ipv6, ipv6, parse);
}

/** A port: a number or a range like `"8000-8010"`. */
export type Port = number | string;

function portField(name: "sport" | "dport", protocol: Protocol): Field<Port> {
  const requires = [{ transport: protocolNumber(protocol) }];
  const parse = (value: Port) => numberInterval(value, 2, "port");
  return bytesField(transport, [name === "sport" ? 0 : 2, 2], KEY.port, requires, parse);
}

/** TCP ports, and the flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16): `tcp("flags").masked(0x12, 0x02)`. */
export function tcp(name: "sport" | "dport"): Field<Port>;
export function tcp(name: "flags"): Field<number>;
export function tcp(name: "sport" | "dport" | "flags"): Field<Port> | Field<number> {
  if (name !== "flags") return portField(name, "tcp");
  const parse = (value: number) => numberInterval(value, 1, "TCP flags");
  return bytesField(transport, [13, 1], KEY.integer, [{ transport: protocols.tcp }], parse);
}

/** A port of a UDP packet: `udp("dport")`. */
export function udp(name: "sport" | "dport"): Field<Port> {
  return portField(name, "udp");
}

/** A port of an SCTP packet: `sctp("dport")`. */
export function sctp(name: "sport" | "dport"): Field<Port> {
  return portField(name, "sctp");
}

/** ICMP type and code for IPv4. Echo request is type 8, echo reply type 0. Ranges work as for ports. */
export function icmp(name: "type" | "code"): Field<Port> {
  return icmpField(name, "icmp");
}

/** ICMP type and code for IPv6. Echo request is type 128, echo reply 129, neighbor discovery 133-137. */
export function icmpv6(name: "type" | "code"): Field<Port> {
  return icmpField(name, "icmpv6");
}

function icmpField(name: "type" | "code", protocol: "icmp" | "icmpv6"): Field<Port> {
  const parse = (value: Port) => numberInterval(value, 1, `ICMP ${name}`);
  const requires = [{ transport: protocols[protocol] }];
  return bytesField(transport, [name === "type" ? 0 : 1, 1], KEY.integer, requires, parse);
}

/** The Ethernet type of a frame, in a bridge or netdev table: 0x0800 IPv4, 0x0806 ARP, 0x86dd IPv6. */
export function etherType(): Field<number> {
  return bytesField(link, [12, 2], KEY.integer, [], (value: number) => {
    if (!Number.isInteger(value))
      throw new NsmError(Code.InvalidArgument, `"${value}" is not an Ethernet type`);
    return numberInterval(value, 2, "Ethernet type");
  });
}
