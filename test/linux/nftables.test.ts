import fc from "fast-check";
import { Code } from "../../src/core/index.js";
import {
  accept,
  counter,
  ctDirection,
  ctState,
  type Hook,
  icmp,
  ip,
  ip6,
  jump,
  limit,
  meta,
  reject,
  rule,
  type Statement,
  type Table,
  tcp,
} from "../../src/linux/nftables/index.js";
import { describe, expect, test } from "vitest";
import { attributeList, attributes, textOf } from "../../src/linux/netlink/attributes.js";
import {
  addressInterval,
  merged,
  numberInterval,
  prefixLength,
  successor,
} from "../../src/linux/nftables/intervals.js";
import { ruleMessages } from "../../src/linux/nftables/rule.js";
import { replacement } from "../../src/linux/nftables/table.js";
import type { Family } from "../../src/linux/nftables/encoding.js";

const invalid = expect.objectContaining({ code: Code.InvalidArgument });

describe("intervals", () => {
  const hex = ({ first, last }: { first: Buffer; last: Buffer }) =>
    `${first.toString("hex")}-${last.toString("hex")}`;

  test("are read from addresses, prefixes and ranges", () => {
    expect(hex(addressInterval("10.1.2.3", 4))).toBe("0a010203-0a010203");
    expect(hex(addressInterval("10.1.2.3/15", 4))).toBe("0a000000-0a01ffff");
    expect(hex(addressInterval("10.0.0.9-10.0.1.0", 4))).toBe("0a000009-0a000100");
    expect(hex(addressInterval("::/0", 6))).toBe(`${"00".repeat(16)}-${"ff".repeat(16)}`);
    expect(hex(numberInterval("8000-8010", 2, "port"))).toBe("1f40-1f4a");
  });

  test.each(["10.0.0.1", "::1-10.0.0.1", "::2-::1", "::1-::2-::3", "::1/64-::2", "::1-::2/64", "web", ""])(
    "%j is no IPv6 address, prefix or range",
    (value) => expect(() => addressInterval(value, 6)).toThrow(invalid),
  );

  test.each(["", "web", "-80", "80-", "9-8", "1-2-3", "65536", "0x50", "8.0", " 80"])(
    "%j is no port",
    (value) => expect(() => numberInterval(value, 2, "port")).toThrow(invalid),
  );

  test("merged, hold the same values, ascending, with a gap between any two", () => {
    const range = fc
      .tuple(fc.nat(255), fc.nat(255))
      .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
    fc.assert(
      fc.property(fc.array(range), (ranges) => {
        const result = merged(ranges.map(([a, b]) => ({ first: Buffer.of(a), last: Buffer.of(b) })));
        const numbers = result.map(({ first, last }) => [first[0]!, last[0]!] as const);
        for (let i = 1; i < numbers.length; i++)
          expect(numbers[i]![0]).toBeGreaterThan(numbers[i - 1]![1] + 1);
        for (let value = 0; value < 256; value++) {
          const within = (list: readonly (readonly [number, number])[]) =>
            list.some(([a, b]) => a <= value && value <= b);
          expect(within(numbers)).toBe(within(ranges));
        }
      }),
    );
  });

  test("know their prefix, when they are one, and their end", () => {
    expect(prefixLength(addressInterval("10.0.0.0/9", 4))).toBe(9);
    expect(prefixLength(addressInterval("10.0.0.1", 4))).toBe(32);
    expect(prefixLength(addressInterval("10.0.0.1-10.0.0.2", 4))).toBeUndefined();
    expect(prefixLength(addressInterval("10.0.0.2-10.0.0.4", 4))).toBeUndefined();
    expect(successor(Buffer.of(1, 255))).toEqual(Buffer.of(2, 0));
    expect(successor(Buffer.of(255, 255))).toBeUndefined();
  });
});

describe("rules", () => {
  /** The names of the kernel's steps, and of the messages that come before the rule. */
  function stepsOf(statements: readonly Statement[], family: Family = "inet") {
    let sets = 0;
    const messages = ruleMessages(family, "t", "c", rule(statements), () => ++sets);
    const body = attributes(Buffer.concat(messages.at(-1)!.attributes!.slice()));
    const steps = attributeList(body.get(4)!).map(({ value }) => textOf(attributes(value).get(1)!));
    return { steps, before: messages.length - 1 };
  }

  test("make sure of a packet's version and protocol before looking at them, once", () => {
    expect(
      stepsOf([ip("saddr").eq("10.0.0.1"), ip("daddr").eq("10.0.0.2"), tcp("dport").eq(80), accept()]),
    ).toEqual({
      steps: [
        "meta",
        "cmp",
        "payload",
        "cmp",
        "payload",
        "cmp",
        "meta",
        "cmp",
        "payload",
        "cmp",
        "immediate",
      ],
      before: 0,
    });
    expect(stepsOf([reject("tcp-reset")]).steps).toEqual(["meta", "cmp", "reject"]);
  });

  test("compare a prefix by mask, a range at once, a list by one look-up", () => {
    expect(stepsOf([meta("mark").eq(7)]).steps).toEqual(["meta", "cmp"]);
    expect(stepsOf([ip6("saddr").in(["2001:db8::/32"])]).steps.slice(2)).toEqual([
      "payload",
      "bitwise",
      "cmp",
    ]);
    expect(stepsOf([tcp("dport").eq("80-90")]).steps.slice(2)).toEqual(["payload", "range"]);
    expect(stepsOf([tcp("dport").in([80, "90-91"])])).toEqual({
      steps: ["meta", "cmp", "payload", "lookup"],
      before: 2,
    });
    expect(stepsOf([tcp("dport").in([81, 82])]).steps.slice(2)).toEqual(["payload", "range"]);
    expect(stepsOf([ctState("new", "related")]).steps).toEqual(["ct", "bitwise", "cmp"]);
    expect(stepsOf([ctDirection("reply")]).steps).toEqual(["ct", "cmp"]);
  });

  test("ask a bridge or device for the Ethernet type instead of the version", () => {
    const { steps } = stepsOf([ip("saddr").eq("10.0.0.1")], "netdev");
    expect(steps).toEqual(["meta", "cmp", "payload", "cmp"]);
  });

  test("spread a large list over several messages", () => {
    const addresses = Array.from({ length: 1500 }, (_, i) => `10.${i >> 7}.${(i & 127) * 2}.0/24`);
    expect(stepsOf([ip("saddr").in(addresses)]).before).toBe(1 + 3);
  });

  test.each<[string, () => unknown]>([
    ["an empty list", () => tcp("dport").in([])],
    ["a port that is none", () => tcp("dport").eq(65_536)],
    ["a name that no link can have", () => meta("iifname").eq("a/b")],
    ["an IPv6 address where IPv4 is asked for", () => ip("saddr").eq("::1")],
    ["an ICMP type that is none", () => icmp("type").eq(256)],
    ["no state", () => ctState()],
    ["a rate of nothing", () => limit({ packets: 0, per: "second" })],
    ["a long comment", () => rule([accept()], { comment: "x".repeat(128) })],
  ])("refuse %s", (_what, make) => {
    expect(make).toThrow(invalid);
  });
});

describe("replacing a table", () => {
  const hook: Hook = { name: "input" };
  const table: Table = {
    family: "inet",
    name: "firewall",
    counters: ["web"],
    chains: [
      { name: "in", hook, rules: [rule([jump("sub")]), rule([counter("web")], { comment: "web" })] },
      { name: "sub" },
    ],
  };
  const subjects = (chains: [string, string][], counters: string[] = [], wanted = table) =>
    replacement(wanted, { chains: new Map(chains), counters: new Set(counters) }).map(
      ({ subject }) => subject,
    );

  test("makes what is new, chains before the rules that jump to them", () => {
    expect(subjects([])).toEqual([
      "table firewall",
      "counter web",
      "chain in",
      "chain sub",
      "rule 1 of chain in",
      "rule 2 of chain in (web)",
    ]);
  });

  test("empties what was there, and removes only chains and counters that are no longer wanted as they are", () => {
    const kept: [string, string][] = [
      ["in", "1 0 "],
      ["sub", ""],
    ];
    expect(subjects(kept, ["web"]).slice(1, 4)).toEqual(["the old rules", "counter web", "chain in"]);
    const changed = subjects(
      [
        ["in", "1 10 "],
        ["gone", ""],
      ],
      ["old"],
    );
    expect(changed.slice(1, 5)).toEqual([
      "the old rules",
      "old chain in",
      "old chain gone",
      "old counter old",
    ]);
  });

  test.each<[string, Partial<Table>]>([
    ["a chain that is not there", { chains: [{ name: "in", hook, rules: [rule([jump("sub")])] }] }],
    ["a counter that is not there", { counters: [] }],
    ["two chains of one name", { chains: [{ name: "a" }, { name: "a" }] }],
    ["a hook the family lacks", { family: "netdev", chains: [{ name: "in", hook: { name: "input" } }] }],
    ["a device hook without device", { chains: [{ name: "in", hook: { name: "ingress" } }] }],
    ["a device where there is none", { chains: [{ name: "in", hook: { name: "input", device: "lo" } }] }],
    ["a name that is none", { name: "fire wall", chains: [] }],
    ["a counter name that is none", { counters: ["web", "4711"] }],
  ])("refuses %s", (_what, part) => {
    expect(() => subjects([], [], { ...table, ...part })).toThrow(invalid);
  });
});
