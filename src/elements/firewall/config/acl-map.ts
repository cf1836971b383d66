import { z } from "zod";
import type { Prefix } from "../../../net/index.js";
import { problemText, schemaProblems } from "../rules/check.js";
import {
  hasPorts,
  Ip,
  type CheckedRule,
  type Direction,
  type Match,
  type NumberRange,
  type Problem,
} from "../rules/rule.js";
import { parsed, prefix, wholeNumber } from "../rules/values.js";

const number = (highest: number) => parsed(wholeNumber(highest)).optional();

/** The fields of a VPP ACL rule in lower case, as in the Go firewall. Numbers default to 0. */
const aclSchema = z.strictObject({
  ispermit: number(2),
  srcprefix: parsed(prefix).optional(),
  dstprefix: parsed(prefix).optional(),
  proto: number(255),
  srcportoricmptypefirst: number(65_535),
  srcportoricmptypelast: number(65_535),
  dstportoricmpcodefirst: number(65_535),
  dstportoricmpcodelast: number(65_535),
  tcpflagsmask: number(255),
  tcpflagsvalue: number(255),
});

type AclRule = z.infer<typeof aclSchema>;

/**
 * Reads a rule of the Go firewall's configuration. It applies unchanged to packets from the client, and with
 * prefixes and ports swapped to packets towards the client. Permit (1) and permit with reflection (2) are equal
 * here, because replies to allowed packets always pass. A rule that earlier rules fully cover is accepted,
 * because the Go program accepts rules in any order and existing files contain such rules.
 */
export function readAclRule(name: string, value: unknown): CheckedRule | readonly Problem[] {
  const label = `rule "${name}"`;
  const labelled = ({ path, message }: Problem): Problem => ({
    path: [name, ...path],
    message: problemText(label, path, message),
  });
  const result = aclSchema.safeParse(value ?? {});
  if (!result.success) return schemaProblems(result.error, aclSchema, "an ACL rule").map(labelled);

  const problem = neverMatches(result.data);
  if (problem) return [labelled(problem)];
  const matches = (["from-client", "to-client"] as const).map((direction) => matchOf(result.data, direction));
  return { name, action: result.data.ispermit ? "allow" : "deny", matches };
}

function neverMatches(rule: AclRule): Problem | undefined {
  const { srcprefix, dstprefix, proto = 0 } = rule;
  const families = [srcprefix, dstprefix].map((given) => given?.address.family);
  if (families[0] && families[1] && families[0] !== families[1]) {
    const message = `can never match: srcprefix is IPv${families[0]}, dstprefix IPv${families[1]}`;
    return { path: ["dstprefix"], message };
  }
  const family = families[0] ?? families[1];
  if ((proto === Ip.icmp && family === 6) || (proto === Ip.icmpv6 && family === 4)) {
    const message = `can never match: protocol ${proto} belongs to another IP version than the addresses`;
    return { path: ["proto"], message };
  }
  if (proto === Ip.tcp && (rule.tcpflagsvalue ?? 0) & ~(rule.tcpflagsmask ?? 0)) {
    return {
      path: ["tcpflagsvalue"],
      message: "can never match: it requires flags that tcpflagsmask does not include",
    };
  }
  if (!looksIntoTransport(proto)) return undefined;
  const source = rangeOf(rule.srcportoricmptypefirst, rule.srcportoricmptypelast);
  const destination = rangeOf(rule.dstportoricmpcodefirst, rule.dstportoricmpcodelast);
  const backwards = (key: string, { first, last }: NumberRange): Problem | undefined =>
    first > last
      ? { path: [`${key}first`], message: `can never match: ${first} is above ${key}last, ${last}` }
      : undefined;
  const never = backwards("srcportoricmptype", source) ?? backwards("dstportoricmpcode", destination);
  if (never) return never;
  if (hasPorts(proto) && source.last === 0 && rule.srcportoricmptypelast === undefined) {
    const message =
      "can never match: srcportoricmptypelast defaults to 0; set it to 65535 to allow any source port";
    return { path: [], message };
  }
  return undefined;
}

function matchOf(rule: AclRule, direction: Direction): Match {
  const { proto = 0, tcpflagsmask: mask = 0, tcpflagsvalue: value = 0 } = rule;
  const swap = direction === "to-client";
  const swapped = <T>(source: T, destination: T) =>
    swap ? ([destination, source] as const) : ([source, destination] as const);
  const [from, to] = swapped(rule.srcprefix, rule.dstprefix);
  const [source, destination] = swapped(
    rangeOf(rule.srcportoricmptypefirst, rule.srcportoricmptypelast),
    rangeOf(rule.dstportoricmpcodefirst, rule.dstportoricmpcodelast),
  );
  const family = (from ?? to)?.address.family ?? (proto === Ip.icmpv6 ? 6 : 4); // without a prefix: 0.0.0.0/0
  return {
    direction,
    family,
    ...(proto !== 0 && { protocol: proto }),
    ...prefixesOf({ from, to }),
    ...(hasPorts(proto) && { sourcePorts: [source], ports: [destination] }),
    ...(isIcmp(proto) && { icmpTypes: [octet(source)], icmpCodes: [octet(destination)] }),
    ...(proto === Ip.tcp && mask !== 0 && { tcpFlags: { mask, value } }),
  };
}

function prefixesOf({ from, to }: { from: Prefix | undefined; to: Prefix | undefined }) {
  return { ...(from && { from: [from] }), ...(to && { to: [to] }) };
}

const isIcmp = (proto: number) => proto === Ip.icmp || proto === Ip.icmpv6;
const looksIntoTransport = (proto: number) => hasPorts(proto) || isIcmp(proto);

function rangeOf(first = 0, last = 0): NumberRange {
  return { first, last };
}

/** ICMP types and codes have one byte. Files use 65535 for "all". */
function octet({ first, last }: NumberRange): NumberRange {
  return { first: Math.min(first, 255), last: Math.min(last, 255) };
}
