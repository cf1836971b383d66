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
} from "../../../linux/nftables/index.js";
import { decisions, flowChain, ruleCounter, type DecisionOptions } from "./decisions.js";
import { entrance, neighborDiscovery, routerSolicitation } from "./entrance.js";
import { GENERATION_BITS, markOf, memoryOf, type TableEntry } from "./memory.js";
import type { Direction, RuleSet } from "../rules/rule.js";

/** Options of compile(). */
export interface CompileOptions {
  /** The table's name. */
  readonly table: string;
  readonly rules: RuleSet;
  /** Number of this rule set. It must differ from the number of the previous rule set. */
  readonly generation: number;
  /** The interfaces to filter. Other interfaces are not affected. */
  readonly interfaces: readonly TableEntry[];
  /** Accepts source addresses other than those of the vWire's client. */
  readonly allowForeignSources?: boolean | undefined;
}

/** Counts replies, and later packets of flows that a rule allowed. */
export const establishedCounter = "established";
/** Counts packets that no rule allowed. */
export const deniedCounter = "denied";
/** Counts packets whose source is not an address of the vWire's client. */
export const foreignCounter = "foreign";

/**
 * Compiles the nftables table of a firewall.
 *
 * The rules decide on each packet in the direction that opened its flow, so that their counters count packets.
 * A packet of a known flow passes, in either direction, if the current rules have allowed the flow: its
 * connection mark then has their generation. A flow with an older mark, or without a mark, is decided again by
 * the packet that opened it. New rules therefore cut exactly the flows that they deny, in both directions and
 * at once.
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
      // A packet from one client to another passes both chains. It is marked once both have allowed it.
      hooked("forward", () => [
        rule([incoming(), jump("from-client")]),
        rule([outgoing(), jump("to-client")]),
        rule([incoming(), jump("marking")]),
        rule([outgoing(), jump("marking")]),
      ]),
    ],
  };
}

/** The kernel looks up connections at priority -200. */
const BEFORE_CONNECTIONS = -300;

/**
 * Filters the packets between the endpoint and its neighbor. Neighbor discovery passes, because IPv6 cannot
 * work without it.
 */
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

/** Marks a flow with its vWire and the generation of the rules that allowed it. */
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
