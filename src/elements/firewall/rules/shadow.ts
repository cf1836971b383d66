import { AddressSet, type Prefix } from "../../../net/index.js";
import { MatchIndex, type FamilyMatch, type PreparedMatch } from "./match-index.js";
import type { CheckedRule, Match, NumberRange } from "./rule.js";

/** The earlier rules of a list. Checks whether the next rule can match anything. */
export class EarlierRules {
  private readonly index = new MatchIndex();
  private count = 0;

  add(rule: CheckedRule): void {
    const position = this.count++;
    for (const match of rule.matches) this.index.add(prepared(match, rule, position));
  }

  /**
   * Returns the earlier rules that together match everything the rule could match, or undefined if something is
   * left. Each match of the rule must be covered by one match of an earlier rule. A rule that is covered only
   * by several partial matches is not detected. A rule that can match is never reported.
   */
  shadowing(rule: CheckedRule): readonly CheckedRule[] | undefined {
    const takers = new Set<CheckedRule>();
    for (const narrow of rule.matches.flatMap(byFamily)) {
      let first: PreparedMatch | undefined;
      for (const wide of this.candidates(narrow)) {
        if ((!first || wide.position < first.position) && covers(wide, narrow)) first = wide;
      }
      if (!first) return undefined;
      takers.add(first.rule);
    }
    return [...takers];
  }

  /** Returns the matches to compare with `narrow`. */
  candidates(narrow: FamilyMatch): readonly PreparedMatch[] {
    return this.index.candidates(narrow);
  }
}

function byFamily(match: Match): readonly FamilyMatch[] {
  const families = match.family ? [match.family] : ([4, 6] as const);
  return families.map((family) => ({ ...match, family }));
}

function prepared(match: Match, rule: CheckedRule, position: number): PreparedMatch {
  return {
    match,
    rule,
    position,
    from: match.from && new AddressSet(match.from),
    to: match.to && new AddressSet(match.to),
    sourcePorts: joined(match.sourcePorts),
    ports: joined(match.ports),
    icmpTypes: joined(match.icmpTypes),
    icmpCodes: joined(match.icmpCodes),
  };
}

/** Sorts ranges and merges adjacent ones: 1-5 and 6-9 cover 3-7. */
function joined(ranges: readonly NumberRange[] | undefined): readonly NumberRange[] | undefined {
  if (!ranges || ranges.length < 2) return ranges;
  const list: NumberRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const last = list.at(-1);
    if (last && range.first <= last.last + 1) {
      list[list.length - 1] = { first: last.first, last: Math.max(last.last, range.last) };
    } else list.push(range);
  }
  return list;
}

/**
 * Whether every packet that matches `narrow` also matches `wide`. The index has already compared direction and
 * protocol.
 */
function covers(wide: PreparedMatch, narrow: FamilyMatch): boolean {
  const { tcpFlags } = wide.match;
  return (
    prefixesCover(wide.from, narrow.from, narrow.family) &&
    prefixesCover(wide.to, narrow.to, narrow.family) &&
    rangesCover(wide.sourcePorts, narrow.sourcePorts, 65_535) &&
    rangesCover(wide.ports, narrow.ports, 65_535) &&
    rangesCover(wide.icmpTypes, narrow.icmpTypes, 255) &&
    rangesCover(wide.icmpCodes, narrow.icmpCodes, 255) &&
    (!tcpFlags || (tcpFlags.mask === narrow.tcpFlags?.mask && tcpFlags.value === narrow.tcpFlags.value))
  );
}

function prefixesCover(
  wide: AddressSet | undefined,
  narrow: readonly Prefix[] | undefined,
  family: 4 | 6,
): boolean {
  if (!wide) return true;
  return (narrow ?? [{ address: { family, value: 0n }, length: 0 }]).every((prefix) => wide.covers(prefix));
}

function rangesCover(
  wide: readonly NumberRange[] | undefined,
  narrow: readonly NumberRange[] | undefined,
  highest: number,
): boolean {
  if (!wide) return true;
  return (narrow ?? [{ first: 0, last: highest }]).every(({ first, last }) =>
    wide.some((range) => range.first <= first && last <= range.last),
  );
}
