import {
  counter,
  ctDirection,
  ctState,
  drop,
  icmp,
  icmpv6,
  ip,
  ip6,
  jump,
  leave,
  meta,
  rule,
  sctp,
  tcp,
  udp,
  type Chain,
  type FilterRule,
  type Statement,
  type Table,
} from "../../linux/index.js";
import { formatPrefix, type Prefix } from "../../net/index.js";
import { decodeName, encodeName } from "./names.js";
import { Ip, type CheckedRule, type Direction, type Match, type NumberRange, type RuleSet } from "./rule.js";

/** What a firewall's table is made from. */
export interface CompileOptions {
  /** The table's name. */
  readonly table: string;
  readonly rules: RuleSet;
  /** The interfaces it filters; all others are left alone. */
  readonly wires: readonly string[];
}

/** Counts what passes without a rule: replies, and connections that are older than the rules. */
export const establishedCounter = "established";
/** Counts what no rule allowed. */
export const deniedCounter = "denied";

/** The counter of a rule. One that changes from allow to deny begins anew; all else may change. */
export function ruleCounter({ action, name }: Pick<CheckedRule, "action" | "name">): string {
  return `${action}.${encodeName(name)}`;
}

const wirePrefix = "wire.";

/** The interfaces that a table filters, from the names of its counters: who comes after us finds them so. */
export function filteredWires(counters: Iterable<string>): readonly string[] {
  return [...counters]
    .filter((name) => name.startsWith(wirePrefix))
    .map((name) => decodeName(name.slice(wirePrefix.length)));
}

/**
 * The nftables table of a firewall. Rules are asked for every packet of the direction that began its connection,
 * so that their counters count packets, not connections; a rule that denies is asked for new connections only.
 */
export function compile({ table, rules: { rules }, wires }: CompileOptions): Table {
  const own = wires.length > 0;
  const from = own ? [meta("iifname").in(wires)] : [];
  const to = own ? [meta("oifname").in(wires)] : [];
  const hooked = (name: "input" | "forward" | "output", list: readonly FilterRule[]): Chain => ({
    name,
    hook: { name },
    rules: own ? list : [],
  });
  return {
    family: "inet",
    name: table,
    counters: [
      ...new Set(rules.map(ruleCounter)),
      establishedCounter,
      deniedCounter,
      ...wires.map((name) => `${wirePrefix}${encodeName(name)}`),
    ],
    chains: [
      decisions("from-client", rules),
      decisions("to-client", rules),
      onTheWire("arriving", "from-client"),
      onTheWire("leaving", "to-client"),
      hooked("input", [rule([...from, jump("arriving")])]),
      hooked("output", [rule([...to, jump("leaving")])]),
      // From one client to another passes both.
      hooked("forward", [rule([...from, jump("from-client")]), rule([...to, jump("to-client")])]),
    ],
  };
}

/**
 * What is between the endpoint itself and its neighbour. Neighbour discovery and multicast listeners (RFC 4861,
 * RFC 3810) pass: without them IPv6 finds nobody on the wire.
 */
function onTheWire(name: string, direction: Direction): Chain {
  return { name, rules: [rule([icmpv6("type").in(["130-137", 143]), leave()]), rule([jump(direction)])] };
}

/** What leaves the chain has passed; its end drops, once there are rules. */
function decisions(direction: Direction, rules: readonly CheckedRule[]): Chain {
  // Without rules this still makes the kernel follow connections: they live on when rules come.
  const passes = rule([ctState("established", "related"), counter(establishedCounter), leave()]);
  if (rules.length === 0) return { name: direction, rules: [passes] };
  const list = rules.flatMap((one) =>
    one.matches.filter((match) => match.direction === direction).map((match) => decision(one, match)),
  );
  return {
    name: direction,
    rules: [
      rule([ctDirection("reply"), ctState("established", "related"), counter(establishedCounter), leave()]),
      rule([ctState("invalid"), counter(deniedCounter), drop()]),
      ...list,
      passes,
      rule([counter(deniedCounter), drop()]),
    ],
  };
}

function decision(one: CheckedRule, match: Match): FilterRule {
  const verdict =
    one.action === "allow"
      ? [counter(ruleCounter(one)), leave()]
      : [ctState("new", "untracked"), counter(ruleCounter(one)), drop()];
  return rule([...conditions(match), ...verdict], { comment: commentOf(one.name) });
}

function conditions(match: Match): Statement[] {
  const { family, protocol, from, to } = match;
  const address = family === 6 ? ip6 : ip;
  return [
    ...(family && !from && !to ? [meta("nfproto").eq(family === 4 ? "ipv4" : "ipv6")] : []),
    ...(from ? [address("saddr").in(texts(from))] : []),
    ...(to ? [address("daddr").in(texts(to))] : []),
    ...(protocol === undefined ? [] : [meta("l4proto").eq(protocol)]),
    ...transport(match),
  ];
}

function transport({ protocol, sourcePorts, ports, icmpTypes, icmpCodes, tcpFlags }: Match): Statement[] {
  const port = protocol === Ip.udp ? udp : protocol === Ip.sctp ? sctp : tcp;
  const control = protocol === Ip.icmpv6 ? icmpv6 : icmp;
  return [
    ...some(sourcePorts, 65_535, (list) => port("sport").in(list)),
    ...some(ports, 65_535, (list) => port("dport").in(list)),
    ...some(icmpTypes, 255, (list) => control("type").in(list)),
    ...some(icmpCodes, 255, (list) => control("code").in(list)),
    ...(tcpFlags ? [tcp("flags").masked(tcpFlags.mask, tcpFlags.value)] : []),
  ];
}

/** The comparison with ranges, unless they leave nothing out. */
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

/** What fits into a comment of nftables, for those who list the rules by other means. */
function commentOf(name: string): string {
  if (name.length <= 40) return name; // at most three bytes each
  return Buffer.from(name)
    .subarray(0, 120)
    .toString()
    .replace(/\uFFFD$/, "");
}
