import type { Prefix } from "../../../net/index.js";
import { icmpType } from "./icmp-types.js";
import { hasPorts, Ip, type Direction, type Match, type NumberRange, type Problem } from "./rule.js";

/** A rule whose values are parsed but not yet combined. */
export interface ReadRule {
  readonly protocol?: keyof typeof Ip | "any" | number | undefined;
  readonly from?: readonly Prefix[] | undefined;
  readonly to?: readonly Prefix[] | undefined;
  readonly ports?: readonly NumberRange[] | undefined;
  readonly icmp?: readonly (number | string)[] | undefined;
  readonly direction?: Direction | "both" | undefined;
}

/**
 * The matches of a rule, separate for IPv4 and IPv6 if they differ, or the reason why its parts cannot be
 * combined.
 */
export function expand(rule: ReadRule): readonly Match[] | Problem {
  const { from, to, ports, icmp, direction = "from-client" } = rule;
  const number = protocolNumber(rule.protocol);
  const isIcmp = rule.protocol === "icmp" || number === Ip.icmp || number === Ip.icmpv6;
  if (ports && !hasPorts(number)) return wrongFor("ports", "tcp, udp or sctp", rule.protocol);
  if (icmp && !isIcmp) return wrongFor("icmp", "icmp or icmpv6", rule.protocol);

  const common = { ...(number !== undefined && { protocol: number }), ...(ports && { ports }) };
  const bare = !from && !to && !isIcmp;
  const matches = bare ? [common] : ([4, 6] as const).flatMap((family) => inFamily(family, rule, common));
  if (matches.length === 0) return nothingLeft(rule);
  const directions = direction === "both" ? (["from-client", "to-client"] as const) : [direction];
  return directions.flatMap((one) => matches.map((match) => ({ direction: one, ...match })));
}

/** The part of a rule that applies to one IP version, if any. */
function inFamily(
  family: 4 | 6,
  rule: ReadRule,
  common: Omit<Match, "direction">,
): readonly Omit<Match, "direction">[] {
  const of = (prefixes?: readonly Prefix[]) => prefixes?.filter(({ address }) => address.family === family);
  const [from, to] = [of(rule.from), of(rule.to)];
  if (from?.length === 0 || to?.length === 0) return [];
  const addressed = { family, ...common, ...(from && { from }), ...(to && { to }) };

  const own = family === 4 ? Ip.icmp : Ip.icmpv6;
  if (rule.protocol === "icmp" || common.protocol === own) {
    const types = icmpTypes(family, rule);
    if (types?.length === 0) return [];
    return [{ ...addressed, protocol: own, ...(types && { icmpTypes: types }) }];
  }
  // ICMP of the other IP version does not apply.
  return common.protocol === Ip.icmp || common.protocol === Ip.icmpv6 ? [] : [addressed];
}

function icmpTypes(family: 4 | 6, { protocol, icmp }: ReadRule): readonly NumberRange[] | undefined {
  return icmp?.flatMap((type) => {
    // A number has a different meaning in each IP version. With "icmp" it is an IPv4 type.
    const foreign = typeof type === "number" && protocol === "icmp" && family === 6;
    const value = typeof type === "number" ? type : icmpType(type, family);
    return value === undefined || foreign ? [] : [{ first: value, last: value }];
  });
}

function protocolNumber(protocol: ReadRule["protocol"]): number | undefined {
  if (protocol === undefined || protocol === "any" || protocol === "icmp") return undefined;
  return typeof protocol === "number" ? protocol : Ip[protocol];
}

function wrongFor(key: string, needed: string, protocol: ReadRule["protocol"]): Problem {
  const was = protocol === undefined ? "the rule has no protocol" : `the protocol is ${protocol}`;
  return { path: [key], message: `allowed only for protocol ${needed}; ${was}` };
}

function nothingLeft({ from, to, icmp, protocol }: ReadRule): Problem {
  const families = (prefixes: readonly Prefix[] | undefined) =>
    [...new Set((prefixes ?? []).map(({ address }) => `IPv${address.family}`))].join(" and ");
  if (from && to && families(from) !== families(to)) {
    const message = `can never match: "from" is ${families(from)}, "to" is ${families(to)}`;
    return { path: ["to"], message };
  }
  if (icmp) {
    const what = `${icmp.join(", ")} of protocol ${protocol}`;
    const message = `can never match: ${what} exists only in another IP version${from || to ? " than the addresses" : ""}`;
    return { path: ["icmp"], message };
  }
  const message = `can never match: protocol ${protocol} belongs to another IP version than the addresses`;
  return { path: ["protocol"], message };
}
