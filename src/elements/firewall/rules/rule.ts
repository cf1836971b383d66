import type { Prefix } from "../../../net/index.js";

/** Which end begins the connections that a rule is about. */
export type Direction = "from-client" | "to-client";

/** A rule as its author writes it, in code or in YAML. The first that fits decides. */
export interface Rule {
  /** Names its counter and the rule in errors; each rule has another one. */
  readonly name: string;
  readonly action: "allow" | "deny";
  /** `icmp` is that of the packet's own IP version. Default: `any`. */
  readonly protocol?: "any" | "tcp" | "udp" | "sctp" | "icmp" | "icmpv6" | number;
  /** Source addresses: prefixes or single ones, IPv4 and IPv6. Default: any. */
  readonly from?: string | readonly string[];
  /** Destination addresses. */
  readonly to?: string | readonly string[];
  /** Destination ports: 80, "8000-8010". For tcp, udp and sctp. */
  readonly ports?: number | string | readonly (number | string)[];
  /** ICMP types by name ("echo-request") or number; with `protocol: icmp` a number is one of IPv4. */
  readonly icmp?: number | string | readonly (number | string)[];
  /** Default: `from-client`, so that no connection towards the client can begin. */
  readonly direction?: Direction | "both";
}

/** All numbers from `first` to `last`, both included. */
export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

/** What a packet must be like, in everything that is given. */
export interface Match {
  readonly direction: Direction;
  /** IP version; addresses are of it. */
  readonly family?: 4 | 6;
  readonly protocol?: number;
  readonly from?: readonly Prefix[];
  readonly to?: readonly Prefix[];
  readonly sourcePorts?: readonly NumberRange[];
  readonly ports?: readonly NumberRange[];
  readonly icmpTypes?: readonly NumberRange[];
  readonly icmpCodes?: readonly NumberRange[];
  /** Of the TCP flags in `mask`, exactly those in `value` are set. */
  readonly tcpFlags?: { readonly mask: number; readonly value: number };
}

/** A rule that makes sense: it fits a packet that is like any of its matches. */
export interface CheckedRule {
  readonly name: string;
  readonly action: "allow" | "deny";
  readonly matches: readonly Match[];
}

/** Rules in their order, checked. Without any, everything passes. */
export interface RuleSet {
  readonly rules: readonly CheckedRule[];
}

/** What is wrong with rules, and where: the way from the root of what was read. */
export interface Problem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** IP protocol numbers. */
export const Ip = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

/** Protocols whose packets begin with two port numbers. */
export function hasPorts(protocol: number | undefined): boolean {
  return protocol === Ip.tcp || protocol === Ip.udp || protocol === Ip.sctp;
}
