import {
  ctDirection,
  drop,
  icmpv6,
  jump,
  leave,
  meta,
  rule,
  setCtMark,
  setCtMarkBits,
  type Chain,
  type FilterRule,
  type Table,
} from "../../../linux/index.js";
import { decisions, flowChain, ruleCounter, type DecisionOptions } from "./decisions.js";
import { entrance, neighborDiscovery, routerSolicitation } from "./entrance.js";
import { GENERATION_BITS, markOf, memoryOf, type TableEntry } from "./memory.js";
import type { Direction, RuleSet } from "../rules/rule.js";

/** What a firewall's table is made from. */
export interface CompileOptions {
  /** The table's name. */
  readonly table: string;
  readonly rules: RuleSet;
  /** The number of this rule set: another one than that of the rules before it. */
  readonly generation: number;
  /** The interfaces it filters. All others are left alone. */
  readonly interfaces: readonly TableEntry[];
  /** Accepts source addresses that are not those of the wire's client. */
  readonly allowForeignSources?: boolean | undefined;
}

/** Counts replies, and packets of flows that an earlier packet's rule allowed. */
export const establishedCounter = "established";
/** Counts what no rule allowed. */
export const deniedCounter = "denied";
/** Counts what came from an address that is not one of the wire's client. */
export const foreignCounter = "foreign";

/**
 * The nftables table of a firewall.
 *
 * The rules decide about each packet in the direction that began its flow, so that their counters count packets. A
 * packet of a flow that is known already, in either direction, passes when the rules of now have allowed the flow: its
 * connection mark has their generation. A flow with an older mark, or with none, is decided anew by the packet that
 * began it. So new rules cut exactly the flows that they deny, in both directions and from the moment they hold.
 */
export function compile(options: CompileOptions): Table {
  const {
    table,
    rules: { rules },
    interfaces,
    generation,
  } = options;
  const names = interfaces.map(({ name }) => name);
  const incoming = () => meta("iifname").in(names);
  const outgoing = () => meta("oifname").in(names);
  const hooked = (name: "prerouting" | "input" | "forward" | "output", list: () => FilterRule[]): Chain => ({
    name,
    hook: { name, ...(name === "prerouting" && { priority: BEFORE_CONNECTIONS }) },
    rules: names.length > 0 ? list() : [],
  });
  const counters = { established: establishedCounter, denied: deniedCounter };
  const decide: DecisionOptions = { rules, generation, counters };
  return {
    family: "inet",
    name: table,
    owned: true,
    counters: [
      ...new Set(rules.map(ruleCounter)),
      establishedCounter,
      deniedCounter,
      foreignCounter,
      ...memoryOf(generation, interfaces),
    ],
    chains: [
      entrance({ ...options, counters: { foreign: foreignCounter, denied: deniedCounter } }),
      flowChain("from-client", decide),
      flowChain("to-client", decide),
      decisions("from-client", decide),
      decisions("to-client", decide),
      marking(interfaces, generation),
      onTheWire("arriving", "from-client"),
      onTheWire("leaving", "to-client"),
      hooked("prerouting", () => [rule([incoming(), jump("entrance")])]),
      hooked("input", () => [rule([incoming(), jump("arriving")])]),
      hooked("output", () => [rule([outgoing(), jump("leaving")])]),
      // What goes from one client to another passes both; it is marked when both have let it pass.
      hooked("forward", () => [
        rule([incoming(), jump("from-client")]),
        rule([outgoing(), jump("to-client")]),
        rule([incoming(), jump("marking")]),
        rule([outgoing(), jump("marking")]),
      ]),
    ],
  };
}

/** Connections are looked up at -200. */
const BEFORE_CONNECTIONS = -300;

/** What is between the endpoint itself and its neighbor. IPv6 finds nobody on the wire without neighbor discovery. */
function onTheWire(name: string, direction: Direction): Chain {
  return {
    name,
    rules: [
      rule([icmpv6("type").in(neighborDiscovery), leave()]),
      rule([icmpv6("type").eq(routerSolicitation), drop()]),
      rule([jump(direction)]),
      rule([jump("marking")]),
    ],
  };
}

/** Marks a flow with its wire and the generation of the rules that allowed it. */
function marking(interfaces: readonly TableEntry[], generation: number): Chain {
  const marks = new Map(interfaces.map((wire) => [wire.name, markOf(wire, generation)]));
  if (marks.size === 0) return { name: "marking" };
  return {
    name: "marking",
    rules: [
      rule([ctDirection("original"), setCtMark("iifname", marks), leave()]),
      rule([ctDirection("original"), setCtMark("oifname", marks), leave()]),
      rule([ctDirection("reply"), setCtMarkBits(GENERATION_BITS, generation)]),
    ],
  };
}
