import {
  ctOriginal,
  icmp,
  icmpv6,
  ip,
  ip6,
  meta,
  sctp,
  tcp,
  udp,
  type Statement,
} from "../../../linux/nftables/index.js";
import { formatPrefix, type Prefix } from "../../../net/index.js";
import { Ip, type Match, type NumberRange } from "../rules/rule.js";

const HIGHEST_PORT = 65_535;
const HIGHEST_OCTET = 255;
const SYN = 2;

/** The nftables conditions of a match for a packet. */
export function packetConditions(match: Match): Statement[] {
  const { family, protocol, from, to, sourcePorts, ports, icmpTypes, icmpCodes, tcpFlags } = match;
  const address = family === 6 ? ip6 : ip;
  const port = protocol === Ip.udp ? udp : protocol === Ip.sctp ? sctp : tcp;
  const control = protocol === Ip.icmpv6 ? icmpv6 : icmp;
  return [
    ...(family && !from && !to ? [meta("nfproto").eq(family === 4 ? "ipv4" : "ipv6")] : []),
    ...(from ? [address("saddr").in(texts(from))] : []),
    ...(to ? [address("daddr").in(texts(to))] : []),
    ...(protocol === undefined ? [] : [meta("l4proto").eq(protocol)]),
    ...some(sourcePorts, HIGHEST_PORT, (list) => port("sport").in(list)),
    ...some(ports, HIGHEST_PORT, (list) => port("dport").in(list)),
    ...some(icmpTypes, HIGHEST_OCTET, (list) => control("type").in(list)),
    ...some(icmpCodes, HIGHEST_OCTET, (list) => control("code").in(list)),
    ...(tcpFlags ? [tcp("flags").masked(tcpFlags.mask, tcpFlags.value)] : []),
  ];
}

/**
 * The nftables conditions of a match for a known flow, applied to the packet that opened it. Returns undefined
 * if that packet cannot match. The kernel does not store its TCP flags, but a flow starts with SYN.
 */
export function flowConditions(match: Match): Statement[] | undefined {
  const { family, protocol, from, to, sourcePorts, ports, tcpFlags } = match;
  if (tcpFlags && (SYN & tcpFlags.mask) !== tcpFlags.value) return undefined;
  const version = family === 6 ? "ip6" : "ip";
  return [
    ...(family ? [ctOriginal("nfproto").eq(family === 4 ? "ipv4" : "ipv6")] : []),
    ...(from ? [ctOriginal(`${version} saddr`).in(texts(from))] : []),
    ...(to ? [ctOriginal(`${version} daddr`).in(texts(to))] : []),
    ...(protocol === undefined ? [] : [ctOriginal("protocol").eq(protocol)]),
    ...some(sourcePorts, HIGHEST_PORT, (list) => ctOriginal("proto-src").in(list)),
    ...some(ports, HIGHEST_PORT, (list) => ctOriginal("proto-dst").in(list)),
    ...some(typesAndCodes(match), HIGHEST_PORT, (list) => ctOriginal("proto-dst").in(list)),
  ];
}

/** ICMP types with their codes, combined into one number as conntrack stores them. */
function typesAndCodes({ icmpTypes, icmpCodes }: Match): readonly NumberRange[] | undefined {
  if (!icmpTypes && !icmpCodes) return undefined;
  const all = [{ first: 0, last: HIGHEST_OCTET }];
  const codes = icmpCodes ?? all;
  return (icmpTypes ?? all).flatMap(({ first, last }) =>
    codes.flatMap((code): readonly NumberRange[] => {
      if (code.first === 0 && code.last === HIGHEST_OCTET)
        return [{ first: first * 256, last: last * 256 + 255 }];
      return Array.from({ length: last - first + 1 }, (_, i) => ({
        first: (first + i) * 256 + code.first,
        last: (first + i) * 256 + code.last,
      }));
    }),
  );
}

/** Compares with ranges. Returns no condition if they include every value. */
function some(
  ranges: readonly NumberRange[] | undefined,
  highest: number,
  compare: (list: readonly string[]) => Statement,
): Statement[] {
  if (!ranges || ranges.some(({ first, last }) => first === 0 && last === highest)) return [];
  return [compare(ranges.map(({ first, last }) => `${first}-${last}`))];
}

function texts(prefixes: readonly Prefix[]): readonly string[] {
  return prefixes.map(formatPrefix);
}
