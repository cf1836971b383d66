import type { Attribute } from "../netlink/attributes.js";
import type { AnonymousSet } from "./sets.js";
import type { Family } from "./encoding.js";

/** What a packet must be before one of its fields can be read. */
export type Requirement = { readonly network: "ipv4" | "ipv6" } | { readonly transport: number };

/** One part of a rule, such as `tcp("dport").eq(80)` or `accept()`. */
export interface Statement {
  /** A counter or chain that must exist in the table. */
  readonly uses?: { readonly counter?: string; readonly chain?: string };
  readonly requires: readonly Requirement[];
  /** The kernel's expressions. `useSet` adds a set to the transaction and returns its id. */
  encode(family: Family, useSet: (set: AnonymousSet) => number): readonly Attribute[];
}

/** A statement without a requirement, equal in every family. */
export function plain(...steps: readonly Attribute[]): Statement {
  return { requires: [], encode: () => steps };
}
