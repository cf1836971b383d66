import {
  counter,
  ctDirection,
  ctMark,
  ctState,
  drop,
  jump,
  leave,
  rule,
  type Chain,
  type FilterRule,
} from "../../../linux/nftables/index.js";
import { flowConditions, packetConditions } from "./conditions.js";
import { GENERATION_BITS } from "./memory.js";
import { encodeName } from "./encode-name.js";
import type { CheckedRule, Direction, Match } from "../rules/rule.js";

export interface DecisionOptions {
  readonly rules: readonly CheckedRule[];
  readonly generation: number;
  readonly counters: { readonly established: string; readonly denied: string };
}

/**
 * Name of a rule's counter. A rule that changes between allow and deny gets a new counter. Other changes keep
 * it.
 */
export function ruleCounter({ action, name }: Pick<CheckedRule, "action" | "name">): string {
  return `${action}.${encodeName(name)}`;
}

const opposite = { "from-client": "to-client", "to-client": "from-client" } as const;

/**
 * Decides on the packets of one direction. Packets that return from this chain have passed. If there are rules,
 * the end of the chain drops the other packets.
 */
export function decisions(direction: Direction, { rules, counters }: DecisionOptions): Chain {
  // Even without rules, this makes the kernel track connections, so that later rules know which side opened
  // them.
  const known = ctState("established", "related");
  const passes = [counter(counters.established), leave()];
  if (rules.length === 0) return { name: direction, rules: [rule([known, ...passes])] };
  return {
    name: direction,
    rules: [
      rule([ctState("invalid"), counter(counters.denied), drop()]),
      rule([ctDirection("reply"), known, jump(flows(opposite[direction]))]),
      rule([ctDirection("reply"), known, ...passes]),
      rule([known, jump(flows(direction))]),
      ...matchesOf(direction, rules).map(([one, match]) => decision(one, match)),
      rule([known, ...passes]),
      rule([counter(counters.denied), drop()]),
    ],
  };
}

/**
 * Decides on known flows of one direction, by the packet that opened them. Flows that the current rules have
 * allowed leave the chain at once.
 */
export function flowChain(direction: Direction, { rules, generation, counters }: DecisionOptions): Chain {
  if (rules.length === 0) return { name: flows(direction) };
  return {
    name: flows(direction),
    rules: [
      rule([ctMark().masked(GENERATION_BITS, generation), leave()]),
      ...matchesOf(direction, rules).flatMap(([one, match]) => {
        const conditions = flowConditions(match);
        const verdict = one.action === "allow" ? [leave()] : [counter(ruleCounter(one)), drop()];
        return conditions ? [rule([...conditions, ...verdict])] : [];
      }),
      rule([counter(counters.denied), drop()]),
    ],
  };
}

function flows(direction: Direction): string {
  return `flows-${direction}`;
}

function matchesOf(direction: Direction, rules: readonly CheckedRule[]): readonly [CheckedRule, Match][] {
  return rules.flatMap((one) =>
    one.matches
      .filter((match) => match.direction === direction)
      .map((match): [CheckedRule, Match] => [one, match]),
  );
}

function decision(one: CheckedRule, match: Match): FilterRule {
  const verdict =
    one.action === "allow"
      ? [counter(ruleCounter(one)), leave()]
      : [ctState("new", "untracked"), counter(ruleCounter(one)), drop()];
  return rule([...packetConditions(match), ...verdict], { comment: commentOf(one.name) });
}

/**
 * The name, truncated to the size of an nftables comment. The comment identifies the rule in listings of other
 * tools.
 */
function commentOf(name: string): string {
  if (name.length <= 40) return name; // at most three bytes each
  return Buffer.from(name)
    .subarray(0, 120)
    .toString()
    .replace(/\uFFFD$/, "");
}
