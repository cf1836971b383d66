import type { Attribute } from "../netlink/attributes.js";
import type { AnonymousSet } from "./sets.js";
import type { Family } from "./encoding.js";

/** What must be sure about a packet before a field of it can be looked at. */
export type Requirement = { readonly network: "ipv4" | "ipv6" } | { readonly transport: number };

/** One part of a rule, such as `tcp("dport").eq(80)` or `accept()`. */
export interface Statement {
  /** A counter or chain of the table that must exist. */
  readonly uses?: { readonly counter?: string; readonly chain?: string };
  readonly requires: readonly Requirement[];
  /** The kernel's steps; `useSet` takes a set into the transaction and returns its id. */
  encode(family: Family, useSet: (set: AnonymousSet) => number): readonly Attribute[];
}

/** A statement that looks at nothing and is the same in every family. */
export function plain(...steps: readonly Attribute[]): Statement {
  return { requires: [], encode: () => steps };
}
