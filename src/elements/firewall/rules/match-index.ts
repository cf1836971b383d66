import { boundsOf, type AddressSet, type Family, type Prefix } from "../../../net/index.js";
import type { CheckedRule, Match, NumberRange } from "./rule.js";

/** A match of one IP version. */
export type FamilyMatch = Match & { readonly family: 4 | 6 };

/** A match of an earlier rule, prepared for comparisons. */
export interface PreparedMatch {
  readonly match: Match;
  readonly rule: CheckedRule;
  readonly position: number;
  readonly from: AddressSet | undefined;
  readonly to: AddressSet | undefined;
  readonly sourcePorts: readonly NumberRange[] | undefined;
  readonly ports: readonly NumberRange[] | undefined;
  readonly icmpTypes: readonly NumberRange[] | undefined;
  readonly icmpCodes: readonly NumberRange[] | undefined;
}

const ANY = "any";
/** A match with more keys than this is indexed under "any", so that one long rule does not fill the index. */
const MOST_KEYS = 64;
const PORTS_PER_CELL = 256;

interface Keys {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly cells: readonly string[];
}

/**
 * An index of the matches of earlier rules by protocol, networks and ports. Only a match with the same or wider
 * keys can cover another match, so a new rule is compared with a few matches instead of all.
 */
export class MatchIndex {
  private readonly filed = new Map<string, PreparedMatch[]>();
  /** The prefix lengths in the index, by family. Only these are looked up. */
  private readonly lengths = { 4: new Set<number>(), 6: new Set<number>() };

  add(match: PreparedMatch): void {
    const { direction, protocol = ANY } = match.match;
    for (const family of match.match.family ? [match.match.family] : ([4, 6] as const)) {
      const { from, to, cells } = this.keysOf(match, family);
      for (const a of from) {
        for (const b of to) {
          for (const cell of cells) this.file([direction, family, protocol, a, b, cell].join(" "), match);
        }
      }
    }
  }

  /** Returns all matches that may cover this one, and few others. */
  candidates(narrow: FamilyMatch): readonly PreparedMatch[] {
    const { direction, family, protocol } = narrow;
    const cell = narrow.ports?.[0] ? [cellOf(narrow.ports[0].first), ANY] : [ANY];
    const [from, to] = [this.around(narrow.from?.[0], family), this.around(narrow.to?.[0], family)];
    const found: PreparedMatch[] = [];
    for (const kind of protocol === undefined ? [ANY] : [protocol, ANY]) {
      for (const a of from) {
        for (const b of to) {
          for (const c of cell)
            found.push(...(this.filed.get([direction, family, kind, a, b, c].join(" ")) ?? []));
        }
      }
    }
    return found;
  }

  private file(key: string, match: PreparedMatch): void {
    const list = this.filed.get(key);
    if (list) list.push(match);
    else this.filed.set(key, [match]);
  }

  private keysOf(match: PreparedMatch, family: Family): Keys {
    const networks = (prefixes: readonly Prefix[] | undefined) =>
      prefixes && prefixes.length <= MOST_KEYS ? prefixes : undefined;
    const from = networks(match.from?.prefixes());
    const both = networks(match.to?.prefixes());
    const to = (from?.length ?? 1) * (both?.length ?? 1) > MOST_KEYS ? undefined : both;
    const keys = (prefixes: readonly Prefix[] | undefined) => prefixes?.map(keyOf) ?? [ANY];
    for (const { length } of [...(from ?? []), ...(to ?? [])]) this.lengths[family].add(length);
    const cells = portCells(match);
    const many = cells.length * (from?.length ?? 1) * (to?.length ?? 1) > MOST_KEYS;
    return { from: keys(from), to: keys(to), cells: many ? [ANY] : cells };
  }

  /** The keys of all networks that contain the prefix. */
  private around(prefix: Prefix | undefined, family: Family): readonly string[] {
    const own = prefix ?? { address: { family, value: 0n }, length: 0 };
    const wider = [...this.lengths[family]].filter((length) => length <= own.length);
    return [ANY, ...wider.map((length) => keyOf({ ...own, length }))];
  }
}

function keyOf(prefix: Prefix): string {
  return `${boundsOf(prefix).first.toString(36)}/${prefix.length}`;
}

function portCells({ ports }: PreparedMatch): readonly string[] {
  if (!ports) return [ANY];
  const cells = new Set<string>();
  for (const { first, last } of ports) {
    for (let port = first; port <= last; port = (Math.floor(port / PORTS_PER_CELL) + 1) * PORTS_PER_CELL) {
      cells.add(cellOf(port));
    }
  }
  return [...cells];
}

function cellOf(port: number): string {
  return String(Math.floor(port / PORTS_PER_CELL));
}
