import { AddressSet, type Prefix } from "../../net/index.js";
import type { CheckedRule, Match, NumberRange } from "./rule.js";

type FamilyMatch = Match & { readonly family: 4 | 6 };

/**
 * The earlier rules that between them take everything the rule could fit, or undefined when something is left
 * for it. Each of its matches must lie in one match of an earlier rule: it may miss rules that are taken piece
 * by piece, and never accuses one that is not.
 */
export function shadowing(
  rule: CheckedRule,
  earlier: readonly CheckedRule[],
): readonly CheckedRule[] | undefined {
  const takers = rule.matches
    .flatMap(byFamily)
    .map((match) => earlier.find(({ matches }) => matches.some((other) => covers(other, match))));
  if (takers.some((taker) => taker === undefined)) return undefined;
  return [...new Set(takers as CheckedRule[])];
}

function byFamily(match: Match): readonly FamilyMatch[] {
  const families = match.family ? [match.family] : ([4, 6] as const);
  return families.map((family) => ({ ...match, family }));
}

/** Whether every packet that fits `narrow` fits `wide` too. */
function covers(wide: Match, narrow: FamilyMatch): boolean {
  return (
    wide.direction === narrow.direction &&
    sameOrAny(wide.family, narrow.family) &&
    sameOrAny(wide.protocol, narrow.protocol) &&
    prefixesCover(wide.from, narrow.from, narrow.family) &&
    prefixesCover(wide.to, narrow.to, narrow.family) &&
    rangesCover(wide.sourcePorts, narrow.sourcePorts, 65_535) &&
    rangesCover(wide.ports, narrow.ports, 65_535) &&
    rangesCover(wide.icmpTypes, narrow.icmpTypes, 255) &&
    rangesCover(wide.icmpCodes, narrow.icmpCodes, 255) &&
    (!wide.tcpFlags ||
      (wide.tcpFlags.mask === narrow.tcpFlags?.mask && wide.tcpFlags.value === narrow.tcpFlags.value))
  );
}

function sameOrAny<T>(wide: T | undefined, narrow: T | undefined): boolean {
  return wide === undefined || wide === narrow;
}

function prefixesCover(
  wide: readonly Prefix[] | undefined,
  narrow: readonly Prefix[] | undefined,
  family: 4 | 6,
): boolean {
  if (!wide) return true;
  const all = new AddressSet(wide);
  return (narrow ?? [{ address: { family, value: 0n }, length: 0 }]).every((prefix) => all.covers(prefix));
}

function rangesCover(
  wide: readonly NumberRange[] | undefined,
  narrow: readonly NumberRange[] | undefined,
  highest: number,
): boolean {
  if (!wide) return true;
  // Neighbours count as one: 1-5 and 6-9 cover 3-7.
  const joined = [...wide]
    .sort((a, b) => a.first - b.first)
    .reduce<NumberRange[]>((list, range) => {
      const last = list.at(-1);
      if (last && range.first <= last.last + 1) {
        list[list.length - 1] = { first: last.first, last: Math.max(last.last, range.last) };
      } else list.push(range);
      return list;
    }, []);
  return (narrow ?? [{ first: 0, last: highest }]).every(({ first, last }) =>
    joined.some((range) => range.first <= first && last <= range.last),
  );
}
