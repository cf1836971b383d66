import type { Prefix } from "../../../net/index.js";

/** Which end opens the flows that a rule applies to. */
export type Direction = "from-client" | "to-client";

/** A rule as written in code or in YAML. The first rule that matches decides. */
export interface Rule {
  /** Unique name of the rule, used for its counter and in errors. */
  readonly name: string;
  readonly action: "allow" | "deny";
  /** IP protocol. `icmp` means ICMP of the packet's IP version. Default: `any`. */
  readonly protocol?: "any" | "tcp" | "udp" | "sctp" | "icmp" | "icmpv6" | number;
  /** Source addresses: prefixes or addresses, IPv4 and IPv6. Default: any. */
  readonly from?: string | readonly string[];
  /** Destination addresses. Default: any. */
  readonly to?: string | readonly string[];
  /** Destination ports, such as 80 or "8000-8010". For tcp, udp and sctp. Default: any. */
  readonly ports?: number | string | readonly (number | string)[];
  /**
   * ICMP types by name ("echo-request") or number. With `protocol: icmp`, a number is an IPv4 type. Default:
   * any.
   */
  readonly icmp?: number | string | readonly (number | string)[];
  /** Which end may open the flow. Default: `from-client`. */
  readonly direction?: Direction | "both";
}

/** All numbers from `first` to `last`, both included. */
export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

/** A condition for packets. Every given field must match. */
export interface Match {
  readonly direction: Direction;
  /** IP version of the packet and of the addresses. */
  readonly family?: 4 | 6;
  readonly protocol?: number;
  readonly from?: readonly Prefix[];
  readonly to?: readonly Prefix[];
  readonly sourcePorts?: readonly NumberRange[];
  readonly ports?: readonly NumberRange[];
  readonly icmpTypes?: readonly NumberRange[];
  readonly icmpCodes?: readonly NumberRange[];
  /** Of the TCP flags in `mask`, exactly the flags in `value` must be set. */
  readonly tcpFlags?: { readonly mask: number; readonly value: number };
}

/** A valid rule. It matches a packet if any of its matches does. */
export interface CheckedRule {
  readonly name: string;
  readonly action: "allow" | "deny";
  readonly matches: readonly Match[];
}

/** Checked rules in their order. If empty, everything passes. */
export interface RuleSet {
  readonly rules: readonly CheckedRule[];
}

/** A problem of the rules, and its path from the root of the input. */
export interface Problem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** IP protocol numbers. */
export const Ip = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

/** Whether packets of a protocol start with two port numbers. */
export function hasPorts(protocol: number | undefined): boolean {
  return protocol === Ip.tcp || protocol === Ip.udp || protocol === Ip.sctp;
}
