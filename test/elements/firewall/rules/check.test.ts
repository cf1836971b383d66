import { Code } from "../../../../src/core/index.js";
import { checkRules, parseRules, type Rule } from "../../../../src/elements/firewall/index.js";
import { formatPrefix } from "../../../../src/net/index.js";
import { describe, expect, test } from "vitest";

/** Matches with prefixes as text. */
function matchesOf(rule: Omit<Rule, "name" | "action">) {
  const [{ matches }] = checkRules([{ name: "it", action: "allow", ...rule }]).rules as [never];
  return JSON.parse(
    JSON.stringify(matches, (_key, value: unknown) =>
      typeof value === "object" && value !== null && "address" in value
        ? formatPrefix(value as never)
        : value,
    ),
  ) as object[];
}

/** The line and the message of the error. */
function refusalOf(yaml: string): string {
  try {
    parseRules(yaml, "rules.yaml");
  } catch (error) {
    expect(error).toMatchObject({ code: Code.InvalidArgument });
    return (error as Error).message.replace(/^rules\.yaml:/, "");
  }
  return "accepted";
}

describe("rules", () => {
  test("are read in their order from a YAML list", () => {
    const { rules } = parseRules(`
# what the client may do
- name: web
  action: allow
  protocol: tcp
  from: 10.0.0.0/8
  ports: [80, 8000-8010, "443"]
- { name: not that one, action: deny, to: [192.0.2.7, "2001:db8::/32"] }
- { name: ping, action: allow, protocol: icmp, icmp: echo-request }
`);
    expect(rules.map(({ name, action }) => `${action} ${name}`)).toEqual([
      "allow web",
      "deny not that one",
      "allow ping",
    ]);
    expect(rules[0]!.matches).toMatchObject([
      {
        direction: "from-client",
        family: 4,
        protocol: 6,
        ports: [
          { first: 80, last: 80 },
          { first: 8000, last: 8010 },
          { first: 443, last: 443 },
        ],
      },
    ]);
  });

  test("are empty for an explicit empty list", () => {
    expect(parseRules("# open to everybody\n[]\n").rules).toEqual([]);
  });

  test.each(["", "\n", "# nothing\n", "{}", "---\n", "null", "~"])("are rejected in %j", (text) => {
    expect(refusalOf(text)).toMatch(/^1: no rules: write \[\] to allow everything$/);
  });

  test("apply to IPv4 and IPv6 unless they name addresses", () => {
    expect(matchesOf({})).toEqual([{ direction: "from-client" }]);
    expect(matchesOf({ protocol: "udp", ports: 53 })).toEqual([
      { direction: "from-client", protocol: 17, ports: [{ first: 53, last: 53 }] },
    ]);
    expect(matchesOf({ from: ["10.0.0.0/8", "fd00::1"], to: "::/0" })).toEqual([
      { direction: "from-client", family: 6, from: ["fd00::1/128"], to: ["::/0"] },
    ]);
  });

  test("use icmp for either IP version, and a number for the IPv4 type", () => {
    const one = (value: number) => [{ first: value, last: value }];
    const direction = "from-client";
    expect(matchesOf({ protocol: "icmp", icmp: "echo-request" })).toEqual([
      { direction, family: 4, protocol: 1, icmpTypes: one(8) },
      { direction, family: 6, protocol: 58, icmpTypes: one(128) },
    ]);
    expect(matchesOf({ protocol: "icmp", icmp: [8] })).toEqual([
      { direction, family: 4, protocol: 1, icmpTypes: one(8) },
    ]);
    expect(matchesOf({ protocol: "icmp", icmp: "packet-too-big" })).toEqual([
      { direction, family: 6, protocol: 58, icmpTypes: one(2) },
    ]);
    expect(matchesOf({ protocol: "icmpv6", icmp: [128, "echo-reply"] })).toEqual([
      { direction, family: 6, protocol: 58, icmpTypes: [...one(128), ...one(129)] },
    ]);
    expect(matchesOf({ protocol: 1 })).toEqual([{ direction, family: 4, protocol: 1 }]);
  });

  test("apply to flows that the client opens unless they set a direction", () => {
    expect(matchesOf({ direction: "to-client" })).toEqual([{ direction: "to-client" }]);
    expect(matchesOf({ direction: "both", protocol: 47 })).toEqual([
      { direction: "from-client", protocol: 47 },
      { direction: "to-client", protocol: 47 },
    ]);
  });

  test("may use anchors", () => {
    const { rules } = parseRules(
      "- { name: a, action: allow, from: &lan [10.0.0.0/8], to: 10.0.0.1 }\n- { name: b, action: deny, from: *lan }",
    );
    expect(rules).toHaveLength(2);
  });

  test("may follow a byte order mark", () => {
    const text = "\uFEFF- name: web\n  action: allow\n  protocol: tcp\n- name: rest\n  action: deny\n";
    expect(parseRules(text).rules.map(({ name }) => name)).toEqual(["web", "rest"]);
    expect(() => parseRules(text.replace("deny", "drop"))).toThrow(/^rules:5: rule "rest": action/);
  });

  test("in code are rejected with the rule and the reason", () => {
    expect(() =>
      checkRules([
        { name: "web", action: "allow" },
        { name: "", action: "deny" },
      ]),
    ).toThrow(
      expect.objectContaining({
        code: Code.InvalidArgument,
        message: 'rule 2: name: invalid value "": allowed is a non-empty string',
      }),
    );
  });
});

describe("rules that are rejected", () => {
  const web = "- name: web\n  action: allow\n";

  test.each<[string, string]>([
    [
      "- name: web\n  acton: allow\n",
      '2: rule "web": acton: not a key of a rule: allowed are name, action, protocol',
    ],
    ["- name: web\n", '1: rule "web": action: no value: allowed are allow, deny'],
    [`${web}  porst: 80\n`, '3: rule "web": porst: not a key of a rule: allowed are name, action, protocol'],
    ["- action: deny\n", "1: rule 1: name: no value: allowed is a non-empty string"],
    ["- name: 7\n  action: deny\n", "1: rule 1: name: invalid value 7: allowed is a non-empty string"],
    [
      "- name: web\n  action: permit\n",
      '2: rule "web": action: invalid value "permit": allowed are allow, deny',
    ],
    [
      `${web}  protocol: tpc\n`,
      '3: rule "web": protocol: invalid value "tpc": allowed are any, icmp, tcp, udp',
    ],
    [`${web}  protocol: 256\n`, '3: rule "web": protocol: invalid value 256:'],
    [
      `${web}  from: 10.0.0.0/33\n`,
      '3: rule "web": from: "10.0.0.0/33" is not a prefix: length 33 is outside 0 to 32',
    ],
    [`${web}  from:\n    - 10.0.0.0/8\n    - 10.1/16\n`, '5: rule "web": from: "10.1" is not an IP address'],
    [`${web}  to: 80\n`, '3: rule "web": to: invalid value 80: allowed is a prefix'],
    [`${web}  to: []\n`, '3: rule "web": to: an empty list matches nothing: omit the key to allow any'],
    [`${web}  from:\n`, '3: rule "web": from: invalid value null:'],
    [
      `${web}  protocol: tcp\n  ports: 65536\n`,
      '4: rule "web": ports: invalid value 65536: allowed is a port',
    ],
    [`${web}  protocol: tcp\n  ports: [80, http]\n`, '4: rule "web": ports: invalid value "http":'],
    [
      `${web}  protocol: tcp\n  ports: 90-80\n`,
      '4: rule "web": ports: invalid range "90-80": its end is below its start',
    ],
    [`${web}  protocol: tcp\n  ports: 80.5\n`, '4: rule "web": ports: invalid value 80.5:'],
    [
      `${web}  ports: 80\n`,
      '3: rule "web": ports: allowed only for protocol tcp, udp or sctp; the rule has no protocol',
    ],
    [
      `${web}  protocol: icmp\n  ports: 80\n`,
      '4: rule "web": ports: allowed only for protocol tcp, udp or sctp; the protocol is icmp',
    ],
    [`${web}  protocol: tcp\n  icmp: 8\n`, '4: rule "web": icmp: allowed only for protocol icmp or icmpv6'],
    [
      `${web}  protocol: icmp\n  icmp: ping\n`,
      '4: rule "web": icmp: invalid value "ping": allowed are the numbers',
    ],
    [`${web}  direction: in\n`, '3: rule "web": direction: invalid value "in":'],
    [
      `${web}  from: 10.0.0.0/8\n  to: fd00::/8\n`,
      '4: rule "web": to: can never match: "from" is IPv4, "to" is IPv6',
    ],
    [
      `${web}  from: fd00::/8\n  protocol: icmp\n  icmp: 8\n`,
      '5: rule "web": icmp: can never match: 8 of protocol icmp exists only in another IP version than the addresses',
    ],
    [
      `${web}  protocol: icmpv6\n  icmp: timestamp-request\n`,
      '4: rule "web": icmp: can never match: timestamp-request of protocol icmpv6 exists only in another IP version',
    ],
    [
      `${web}  from: 10.0.0.0/8\n  protocol: icmpv6\n`,
      '4: rule "web": protocol: can never match: protocol icmpv6 belongs to another IP version than the addresses',
    ],
    [`${web}${web}`, '3: rule "web": name: rule 1 has the same name'],
    ["- web\n", "1: rule 1: is not a map: a rule has the keys name, action"],
    [`${web}-\n`, "3: rule 2: is not a map"],
    ["web\n", "1: expected a list of rules or a map of ACL rules"],
    ["- name: a\n  name: b\n", "2: Map keys must be unique"],
    ["- name: a\n\taction: b\n", "2: "],
    ["- [1\n", "2: "],
    ["- *rule\n", "1: alias *rule has no anchor before it"],
    [`${web}---\n${web}`, "3: a second YAML document starts here: only one is allowed"],
  ])("%j", (yaml, expected) => {
    expect(refusalOf(yaml).slice(0, expected.length)).toBe(expected);
  });

  test("report the first error of the file, whatever its kind", () => {
    expect(refusalOf(`${web}  to: nowhere\n- name: b\n  action: deny\n  oh: no\n`)).toMatch(
      /^3: rule "web": to/,
    );
  });

  test("may not expand without limit", () => {
    const nestedAliases = `- &a [x, x, x, x, x, x, x, x, x]\n- &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n- [${"*b, ".repeat(99)}]`;
    expect(refusalOf(nestedAliases)).toBe("3: more than 100 aliases: replace some by their values");
    const nested = `- &a [${"x, ".repeat(50)}]\n- &b [${"*a, ".repeat(45)}]\n- [${"*b, ".repeat(45)}]`;
    expect(refusalOf(nested)).toMatch(/alias/i);
  });

  test("with many aliases are rejected without a search for each", () => {
    const many = `- &a {name: a, action: allow, protocol: tcp, ports: 1}\n${"- *a\n".repeat(5_000)}`;
    const startedAt = performance.now();
    expect(refusalOf(many)).toBe("102: more than 100 aliases: replace some by their values");
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });
});

describe("a rule that earlier rules cover", () => {
  const after = (first: string[], last: string) =>
    refusalOf(
      [...first.map((rule, i) => `- { name: r${i}, ${rule} }`), `- { name: last, ${last} }`].join("\n"),
    );

  test.each<[string[], string, string]>([
    [["action: deny"], "action: allow, protocol: tcp", '"r0"'],
    [["action: allow, protocol: tcp"], "action: deny, protocol: tcp, ports: 80", '"r0"'],
    [["action: deny, from: 10.0.0.0/8"], "action: allow, from: [10.1.0.0/16, 10.2.3.4]", '"r0"'],
    [["action: deny, from: [10.0.0.0/9, 10.128.0.0/9]"], "action: allow, from: 10.0.0.0/8", '"r0"'],
    [["action: allow, protocol: tcp, ports: [1-5, 6-9]"], "action: deny, protocol: tcp, ports: 3-7", '"r0"'],
    [["action: deny, from: 0.0.0.0/0", "action: deny, from: ::/0"], "action: allow", '"r0" and "r1"'],
    [["action: deny, protocol: icmp"], "action: allow, protocol: icmpv6, icmp: [1, 2]", '"r0"'],
    [["action: deny, direction: both"], "action: allow, direction: to-client", '"r0"'],
  ])("after %j: %s", (first, last, takers) => {
    expect(after(first, last)).toBe(
      `${first.length + 1}: rule "last": can never match: earlier rules cover it completely: ${takers}`,
    );
  });

  test.each<[string[], string]>([
    [["action: deny, protocol: tcp"], "action: allow"],
    [["action: deny, protocol: tcp, ports: 1-79"], "action: allow, protocol: tcp, ports: 79-80"],
    [["action: deny, protocol: tcp, ports: 80"], "action: allow, protocol: udp, ports: 80"],
    [["action: deny, from: 10.0.0.0/9"], "action: allow, from: 10.0.0.0/8"],
    [["action: deny, from: 0.0.0.0/0"], "action: allow"],
    [["action: deny, to: 10.0.0.1"], "action: allow, from: 10.0.0.1"],
    [["action: deny, protocol: icmp, icmp: 8"], "action: allow, protocol: icmp"],
    [["action: deny"], "action: allow, direction: to-client"],
    [["action: deny, direction: to-client"], "action: allow, direction: both"],
  ])("differs: after %j: %s", (first, last) => {
    expect(after(first, last)).toBe("accepted");
  });
});

describe("the Go firewall's ACL map", () => {
  test("is read in the file's order, towards the client with prefixes and ports swapped", () => {
    const { rules } = parseRules(`
allow web:
    proto: 6
    srcprefix: 10.0.0.0/8
    srcportoricmptypelast: 65535
    dstportoricmpcodefirst: 80
    dstportoricmpcodelast: 81
    ispermit: 2
7:
    proto: 1
    srcportoricmptypelast: 65535
    dstportoricmpcodelast: 65535
    ispermit: 1
forbid the rest:
`);
    expect(rules.map(({ name, action }) => `${action} ${name}`)).toEqual([
      "allow allow web",
      "allow 7",
      "deny forbid the rest",
    ]);
    const [all, ports] = [[{ first: 0, last: 65_535 }], [{ first: 80, last: 81 }]];
    expect(rules[0]!.matches).toMatchObject([
      { direction: "from-client", family: 4, protocol: 6, from: [{ length: 8 }], sourcePorts: all, ports },
      { direction: "to-client", family: 4, protocol: 6, to: [{ length: 8 }], sourcePorts: ports, ports: all },
    ]);
    expect(rules[0]!.matches[0]).not.toHaveProperty("to");
    const bytes = [{ first: 0, last: 255 }];
    expect(rules[1]!.matches).toMatchObject([
      { direction: "from-client", protocol: 1, icmpTypes: bytes, icmpCodes: bytes },
      { direction: "to-client", protocol: 1, icmpTypes: bytes, icmpCodes: bytes },
    ]);
    expect(rules[2]!.matches).toEqual([
      { direction: "from-client", family: 4 },
      { direction: "to-client", family: 4 },
    ]);
  });

  test("supports TCP flags, and detects IPv6 from either prefix", () => {
    const { rules } = parseRules(
      "syn: { proto: 6, dstprefix: 'fd00::/8', srcportoricmptypelast: 65535, dstportoricmpcodelast: 65535, tcpflagsmask: 18, tcpflagsvalue: 2 }",
    );
    expect(rules[0]!.matches).toMatchObject([
      { family: 6, to: [{ length: 8 }], tcpFlags: { mask: 18, value: 2 } },
      { family: 6, from: [{ length: 8 }], tcpFlags: { mask: 18, value: 2 } },
    ]);
  });

  test.each<[string, string]>([
    ["a:\n  ispermit: 3\n", '2: rule "a": ispermit: invalid value 3: allowed is a whole number from 0 to 2'],
    ["a:\n  ispermit: true\n", '2: rule "a": ispermit: invalid value true:'],
    [
      "a: {}\nb:\n  isPermit: 1\n",
      '3: rule "b": isPermit: not a key of an ACL rule: allowed are ispermit, srcprefix',
    ],
    ["a:\n  srcprefix: 10.0.0.0/40\n", '2: rule "a": srcprefix: "10.0.0.0/40" is not a prefix'],
    ["a: 7\n", '1: rule "a": is not a map: an ACL rule has the keys ispermit'],
    [
      "a:\n  srcprefix: 10.0.0.0/8\n  dstprefix: fd00::/8\n",
      '3: rule "a": dstprefix: can never match: srcprefix is IPv4, dstprefix IPv6',
    ],
    [
      "a:\n  proto: 58\n  srcprefix: 10.0.0.0/8\n",
      '2: rule "a": proto: can never match: protocol 58 belongs to another IP',
    ],
    [
      "a:\n  proto: 17\n  srcportoricmptypelast: 65535\n  dstportoricmpcodefirst: 53\n",
      '4: rule "a": dstportoricmpcodefirst: can never match: 53 is above dstportoricmpcodelast, 0',
    ],
    ["a:\n  proto: 6\n", '1: rule "a": can never match: srcportoricmptypelast defaults to 0'],
    [
      "a:\n  proto: 6\n  srcportoricmptypelast: 65535\n  tcpflagsvalue: 2\n",
      '4: rule "a": tcpflagsvalue: can never match: it requires flags that tcpflagsmask does not include',
    ],
    ["a: {}\na: {}\n", "2: Map keys must be unique"],
  ])("rejects %j", (yaml, expected) => {
    expect(refusalOf(yaml).slice(0, expected.length)).toBe(expected);
  });
});
