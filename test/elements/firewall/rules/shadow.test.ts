import { checkRules } from "../../../../src/elements/firewall/index.js";
import type { Rule } from "../../../../src/elements/firewall/index.js";
import { describe, expect, test } from "vitest";
import { EarlierRules } from "../../../../src/elements/firewall/rules/shadow.js";

const COUNT = 4_000;

/** Average number of earlier matches that each rule of a long list is compared with. */
function comparisonsPerRule(rule: (i: number) => Omit<Rule, "name" | "action">): number {
  const list = Array.from({ length: COUNT }, (_, i) => ({
    name: `r${i}`,
    action: "allow" as const,
    ...rule(i),
  }));
  const earlier = new EarlierRules();
  let comparisons = 0;
  for (const checked of checkRules(list).rules) {
    comparisons += earlier.candidates({ family: 4, ...checked.matches[0]! }).length;
    earlier.add(checked);
  }
  return comparisons / COUNT;
}

describe("the check for rules that can never match", () => {
  test.each<[string, (i: number) => Omit<Rule, "name" | "action">]>([
    ["source networks", (i) => ({ from: `10.${i >> 8}.${i & 255}.0/24` })],
    ["IPv6 hosts", (i) => ({ to: `fd00::${i.toString(16)}` })],
    ["ports", (i) => ({ protocol: "tcp", ports: 1_000 + i })],
    ["hosts of one network", (i) => ({ from: "10.0.0.0/8", to: `172.16.${i >> 8}.${i & 255}` })],
    [
      "pairs of hosts and ports",
      (i) => ({
        protocol: "tcp",
        from: `10.0.${i & 255}.1`,
        to: `10.9.${i >> 8}.0/24`,
        ports: [80, 8000 + i],
      }),
    ],
  ])("compares a rule with few of thousands of others that differ in %s", (_what, rule) => {
    expect(comparisonsPerRule(rule)).toBeLessThan(200);
  });

  test.each<[string, Omit<Rule, "name" | "action">, Omit<Rule, "name" | "action">]>([
    [
      "many networks",
      { from: Array.from({ length: 200 }, (_, i) => `10.0.${i}.0/24`) },
      { from: "10.0.7.9" },
    ],
    [
      "neighbors that are one network together",
      { to: ["10.0.0.0/25", "10.0.0.128/25"] },
      { to: "10.0.0.0/24" },
    ],
    [
      "a range of many ports",
      { protocol: "tcp", ports: "1-65000" },
      { protocol: "tcp", ports: [7, 64_000], from: "fd00::1" },
    ],
    [
      "many networks and many ports",
      {
        protocol: "udp",
        from: Array.from({ length: 30 }, (_, i) => `10.${i * 2}.0.0/16`),
        to: Array.from({ length: 30 }, (_, i) => `11.${i * 2}.0.0/16`),
        ports: "0-40000",
      },
      { protocol: "udp", from: "10.4.1.0/24", to: "11.8.0.1", ports: "300-700" },
    ],
  ])("finds a wider rule with %s", (_what, wide, narrow) => {
    const others: Rule[] = Array.from({ length: 50 }, (_, i) => ({
      name: `other ${i}`,
      action: "allow",
      protocol: "sctp",
      to: `192.0.2.${i}`,
      ports: i,
    }));
    const list: Rule[] = [
      ...others,
      { name: "wide", action: "deny", ...wide },
      { name: "narrow", action: "allow", ...narrow },
    ];
    expect(() => checkRules(list)).toThrow(
      'rule "narrow": can never match: earlier rules cover it completely: "wide"',
    );
  });
});
