import { once } from "node:events";
import { Code } from "../../../src/core/index.js";
import {
  connectIn,
  createVeth,
  netlinkIn,
  type NetworkNamespace,
  ping,
  tcpConnect,
  tcpListen,
  udpEcho,
  udpProbe,
  writeSysctl,
} from "../../../src/linux/index.js";
import {
  accept,
  counter,
  ctState,
  drop,
  etherType,
  type FilterRule,
  icmp,
  icmpv6,
  ip,
  ip6,
  jump,
  leave,
  limit,
  meta,
  nftablesIn,
  reject,
  rule,
  type Table,
  tcp,
  udp,
} from "../../../src/linux/nftables/index.js";
import { withNamespaces } from "../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { runChild } from "./child.js";
import { client4, client6, endpoint4, endpoint6, wired } from "./wired.js";

const known = rule([ctState("established", "related"), accept()]);
/** IPv6 finds its neighbors by ICMP. */
const neighbours = rule([icmpv6("type").in(["133-137"]), accept()]);

function firewall(rules: readonly FilterRule[], counters: readonly string[] = []): Table {
  const hook = { name: "input", policy: "drop" } as const;
  return {
    family: "inet",
    name: "firewall",
    counters,
    chains: [{ name: "in", hook, rules: [neighbours, ...rules] }],
  };
}

const quick = { timeoutMs: 100 };

describe("a firewall on the endpoint's side of the wire", () => {
  test.each([
    ["IPv4", endpoint4],
    ["IPv6", endpoint6],
  ])("lets through what its rules allow over %s, drops the rest, and counts both", (_version, host) =>
    wired(async ([client, endpoint]) => {
      const nft = nftablesIn(endpoint);
      const [open, shut] = [
        await tcpListen({ namespace: endpoint, host, port: 8080 }),
        await tcpListen({ namespace: endpoint, host, port: 9090 }),
      ];
      const table = firewall(
        [
          known,
          rule([
            meta("iifname").eq("fw-1"),
            tcp("dport").in([80, "8000-8100"]),
            ctState("new"),
            counter("web"),
            accept(),
          ]),
          rule([icmp("type").eq(8), counter("echo"), accept()]),
          rule([icmpv6("type").eq(128), counter("echo"), accept()]),
          rule([counter("denied")]),
        ],
        ["web", "echo", "denied"],
      );
      await nft.replaceTable(table);
      expect(await ping({ namespace: client, to: host, count: 3 })).toMatchObject({ received: 3 });
      expect(await tcpConnect({ namespace: client, host, port: 8080 })).toBe("open");
      expect(await tcpConnect({ namespace: client, host, port: 9090, ...quick })).toBe("timeout");
      const counters = await nft.counters("inet", "firewall");
      expect(counters.get("web")).toMatchObject({ packets: 1 });
      expect(counters.get("denied")).toMatchObject({ packets: 1 });
      // The first of three echo requests is a new connection, the others belong to it.
      expect(counters.get("echo")).toMatchObject({ packets: 1 });
      await open.close();
      await shut.close();
    }),
  );

  test("is replaced while connections live, which go on, and counters, which keep their count", () =>
    wired(async ([client, endpoint]) => {
      const nft = nftablesIn(endpoint);
      const listeners = [];
      for (const port of [8080, 9090])
        listeners.push(await tcpListen({ namespace: endpoint, host: endpoint4, port }));
      const allow = (port: number) => rule([tcp("dport").eq(port), ctState("new"), counter("new"), accept()]);
      await nft.replaceTable(firewall([known, allow(8080)], ["new"]));
      const socket = await connectIn({ namespace: client, host: endpoint4, port: 8080 });
      const echo = async (text: string) => {
        socket.write(text);
        const [data] = (await once(socket, "data")) as [Buffer];
        return data.toString();
      };
      expect(await echo("before")).toBe("before");

      await nft.replaceTable(firewall([known, allow(9090)], ["new"]));
      expect(await echo("after")).toBe("after");
      expect(await tcpConnect({ namespace: client, host: endpoint4, port: 8080, ...quick })).toBe("timeout");
      expect(await tcpConnect({ namespace: client, host: endpoint4, port: 9090 })).toBe("open");
      expect((await nft.counters("inet", "firewall")).get("new")).toMatchObject({ packets: 2 });
      socket.destroy();
      for (const listener of listeners) await listener.close();
    }));

  test("stays as it was when any part of the new table is refused", () =>
    wired(async ([client, endpoint]) => {
      const nft = nftablesIn(endpoint);
      await nft.replaceTable(firewall([rule([icmp("type").eq(8), accept()])]));
      const refused = async (chains: Table["chains"], message: RegExp) => {
        const replaced = nft.replaceTable({ ...firewall([]), chains });
        await expect(replaced).rejects.toMatchObject({ message: expect.stringMatching(message) });
      };
      // The kernel rejects packets only where it can still notify their sender.
      const late = { name: "late", hook: { name: "postrouting" } as const };
      const rules = [rule([accept()]), rule([reject()], { comment: "too late" })];
      await refused([{ ...late, rules }], /rule 2 of chain late \(too late\).*EOPNOTSUPP/);
      await refused(
        [
          { name: "in", hook: { name: "input" }, rules: [rule([jump("a")])] },
          { name: "a", rules: [rule([jump("b")])] },
          { name: "b", rules: [rule([jump("a")])] },
        ],
        /table firewall.*E(MLINK|LOOP)/,
      );
      expect(await ping({ namespace: client, to: endpoint4, count: 1 })).toMatchObject({ received: 1 });
      expect(await tcpConnect({ namespace: client, host: endpoint4, port: 80, ...quick })).toBe("timeout");
    }));

  test("is gone once deleted, and can be deleted once", () =>
    wired(async ([client, endpoint]) => {
      const nft = nftablesIn(endpoint);
      await nft.replaceTable(firewall([]));
      expect(await nft.tables()).toEqual([{ family: "inet", name: "firewall", owner: "none" }]);
      expect(await ping({ namespace: client, to: endpoint4, count: 1, ...quick })).toMatchObject({
        received: 0,
      });
      await nft.deleteTable("inet", "firewall");
      expect(await ping({ namespace: client, to: endpoint4, count: 1 })).toMatchObject({ received: 1 });
      expect(await nft.tables()).toEqual([]);
      expect(await nft.counters("inet", "firewall")).toEqual(new Map());
      await expect(nft.deleteTable("inet", "firewall")).rejects.toMatchObject({ code: Code.NotFound });
    }));
});

/** What gets through to the endpoint under these rules, of what the client tries. */
async function passes(
  namespaces: readonly [NetworkNamespace, NetworkNamespace],
  rules: readonly FilterRule[],
) {
  const [client, endpoint] = namespaces;
  await nftablesIn(endpoint).replaceTable(firewall(rules));
  const listener = await tcpListen({ namespace: endpoint, host: endpoint4, port: 8080 });
  const echo = await udpEcho({ namespace: endpoint, host: endpoint4, port: 5300 });
  const at = { namespace: client, host: endpoint4, ...quick };
  const result = {
    ping4: (await ping({ namespace: client, to: endpoint4, count: 1, ...quick })).received,
    ping6: (await ping({ namespace: client, to: endpoint6, count: 1, ...quick })).received,
    tcp: await tcpConnect({ ...at, port: 8080 }),
    udp: await udpProbe({ ...at, port: 5300 }),
  };
  await listener.close();
  await echo.close();
  return result;
}

describe("rules", () => {
  const none = { ping4: 0, ping6: 0, tcp: "timeout", udp: "timeout" };
  const cases: [string, FilterRule[], Partial<Record<keyof typeof none, unknown>>][] = [
    ["nothing", [], {}],
    ["everything", [rule([accept()])], { ping4: 1, ping6: 1, tcp: "open", udp: "answered" }],
    [
      "a source address",
      [rule([ip("saddr").eq(client4), accept()])],
      { ping4: 1, tcp: "open", udp: "answered" },
    ],
    ["another source address", [rule([ip("saddr").eq("172.16.1.102"), accept()])], {}],
    [
      "a source prefix",
      [rule([ip("saddr").in("172.16.0.0/15"), icmp("type").eq(8), accept()])],
      { ping4: 1 },
    ],
    ["an IPv6 prefix", [rule([ip6("saddr").in("2001:db8::/32"), accept()])], { ping6: 1 }],
    ["other IPv6 prefixes", [rule([ip6("saddr").not("2001:db8::/32"), accept()])], {}],
    [
      "a list of prefixes and ranges",
      [
        rule([
          ip("saddr").in(["10.0.0.0/8", "172.16.1.101-172.16.1.103", "192.168.1.1"]),
          udp("dport").eq(5300),
          accept(),
        ]),
      ],
      { udp: "answered" },
    ],
    [
      "a list without it",
      [rule([ip("saddr").in(["10.0.0.0/8", "172.16.1.102-172.16.1.103"]), accept()])],
      {},
    ],
    [
      "what is not in a list",
      [rule([ip6("saddr").not(["::1", "2001:db8::102/127"]), accept()])],
      { ping6: 1 },
    ],
    [
      "the edges of a range",
      [
        rule([
          ip("saddr").in([`172.16.1.0-${client4}`, `${endpoint4}-${client4}`]),
          icmp("type").in([7, 8]),
          accept(),
        ]),
      ],
      { ping4: 1 },
    ],
    ["an address list of version 6", [rule([ip6("daddr").in([client6, endpoint6]), accept()])], { ping6: 1 }],
    ["a port range", [rule([tcp("dport").in("8080-8081"), accept()])], { tcp: "open" }],
    ["a range of either protocol's ports", [rule([udp("dport").in(["1-5299", "5301-65535"]), accept()])], {}],
    ["protocols", [rule([meta("l4proto").in(["tcp", "udp"]), accept()])], { tcp: "open", udp: "answered" }],
    ["one version", [rule([meta("nfproto").eq("ipv6"), accept()])], { ping6: 1 }],
    [
      "an incoming link",
      [rule([meta("iifname").in(["fw-1", "fw-2"]), icmp("type").eq(8), accept()])],
      { ping4: 1 },
    ],
    [
      "links by the beginning of their name",
      [rule([meta("iifname").eq("fw*"), icmpv6("type").eq(128), accept()])],
      { ping6: 1 },
    ],
    ["no other link", [rule([meta("iifname").not(["fw-1", "lo"]), accept()])], {}],
    ["a TCP flag", [rule([tcp("flags").masked(0x12, 0x02), accept()])], { tcp: "open" }],
    ["a state it does not have", [rule([ctState("invalid"), accept()])], {}],
    [
      "the first that decides",
      [rule([icmp("type").eq(8), drop()]), rule([accept()])],
      { ping6: 1, tcp: "open", udp: "answered" },
    ],
    ["a rate", [rule([limit({ packets: 1, per: "day", burst: 1 }), accept()])], { ping4: 1 }],
    [
      "refusal, TCP as if closed",
      [rule([reject("tcp-reset")]), rule([reject("port")])],
      { tcp: "refused", udp: "refused" },
    ],
    ["refusal, saying prohibited", [rule([reject()])], { tcp: "unreachable", udp: "unreachable" }],
  ];

  test.each(cases)("match %s", (_what, rules, expected) =>
    wired(async (namespaces) => {
      const established = rule([ctState("established"), tcp("dport").eq(8080), accept()]);
      expect(await passes(namespaces, [...rules.slice(0, 1), established, ...rules.slice(1)])).toEqual({
        ...none,
        ...expected,
      });
    }),
  );

  test("may be grouped in chains that are jumped to and left", () =>
    wired(async (namespaces) => {
      const [client, endpoint] = namespaces;
      await nftablesIn(endpoint).replaceTable({
        family: "inet",
        name: "firewall",
        counters: ["back"],
        chains: [
          {
            name: "in",
            hook: { name: "input" },
            rules: [rule([jump("from-client")]), rule([counter("back"), drop()])],
          },
          {
            name: "from-client",
            rules: [rule([ip("saddr").eq(client4), accept()]), rule([leave()]), rule([accept()])],
          },
        ],
      });
      expect(await ping({ namespace: client, to: endpoint4, count: 1 })).toMatchObject({ received: 1 });
      expect(await ping({ namespace: client, to: endpoint6, count: 1, ...quick })).toMatchObject({
        received: 0,
      });
      expect((await nftablesIn(endpoint).counters("inet", "firewall")).get("back")!.packets).toBeGreaterThan(
        0,
      );
    }));
});

describe("other tables", () => {
  test("filter what is forwarded", () =>
    withNamespaces(1, async ([far]) =>
      wired(async ([client, endpoint]) => {
        await createVeth({
          a: { namespace: endpoint, name: "out", up: true },
          b: { namespace: far, name: "in", up: true },
        });
        await netlinkIn(endpoint).addAddress("out", "10.9.0.1/24");
        await netlinkIn(far).addAddress("in", "10.9.0.2/24");
        await netlinkIn(far).replaceRoute({ destination: "0.0.0.0/0", link: "in", gateway: "10.9.0.1" });
        await netlinkIn(client).replaceRoute({
          destination: "10.9.0.0/24",
          link: "nsm-1",
          gateway: endpoint4,
        });
        writeSysctl(endpoint, "ipv4/ip_forward", "1");
        const listener = await tcpListen({ namespace: far, host: "10.9.0.2", port: 80 });
        const at = { namespace: client, host: "10.9.0.2", port: 80, ...quick };
        expect(await tcpConnect(at)).toBe("open");
        await nftablesIn(endpoint).replaceTable({
          family: "inet",
          name: "forwarding",
          chains: [
            {
              name: "through",
              hook: { name: "forward", policy: "drop" },
              rules: [
                known,
                rule([meta("iifname").eq("fw-1"), meta("oifname").eq("out"), icmp("type").eq(8), accept()]),
              ],
            },
          ],
        });
        expect(await tcpConnect(at)).toBe("timeout");
        expect(await ping({ namespace: client, to: "10.9.0.2", count: 1 })).toMatchObject({ received: 1 });
        await listener.close();
      }),
    ));

  test("filter all that comes in by one device, before connections are known", () =>
    wired(async (namespaces) => {
      const [, endpoint] = namespaces;
      await nftablesIn(endpoint).replaceTable({
        family: "netdev",
        name: "device",
        chains: [
          {
            name: "in",
            hook: { name: "ingress", device: "fw-1", policy: "drop" },
            rules: [
              rule([etherType().eq(0x0806), accept()]),
              rule([ip("saddr").eq(client4), icmp("type").eq(8), accept()]),
            ],
          },
        ],
      });
      const [client] = namespaces;
      expect(await ping({ namespace: client, to: endpoint4, count: 1 })).toMatchObject({ received: 1 });
      expect(await ping({ namespace: client, to: endpoint6, count: 1, ...quick })).toMatchObject({
        received: 0,
      });
      const refused = nftablesIn(endpoint).replaceTable({
        family: "netdev",
        name: "stateful",
        chains: [
          {
            name: "in",
            hook: { name: "ingress", device: "fw-1" },
            rules: [rule([ctState("new"), accept()])],
          },
        ],
      });
      await expect(refused).rejects.toMatchObject({
        code: Code.Unimplemented,
        message: expect.stringMatching(/"ct"/),
      });
    }));

  test("filter what a bridge passes on", () =>
    withNamespaces(3, async ([left, middle, right]) => {
      const bridge = await netlinkIn(middle).createLink({ kind: "bridge", name: "br0", up: true });
      for (const [namespace, name, address] of [
        [left, "left", "10.0.0.1/24"],
        [right, "right", "10.0.0.2/24"],
      ] as const) {
        await createVeth({
          a: { namespace, name: "eth", up: true },
          b: { namespace: middle, name, up: true },
        });
        await netlinkIn(middle).setLink(name, { master: bridge.index });
        await netlinkIn(namespace).addAddress("eth", address);
      }
      expect(await ping({ namespace: left, to: "10.0.0.2", count: 1 })).toMatchObject({ received: 1 });
      const chain = { name: "through", hook: { name: "forward" } as const };
      const rules = [rule([ip("daddr").in(["10.0.0.2", "10.0.0.9"]), icmp("type").eq(8), drop()])];
      await nftablesIn(middle).replaceTable({
        family: "bridge",
        name: "wire",
        chains: [{ ...chain, rules }],
      });
      expect(await ping({ namespace: left, to: "10.0.0.2", count: 1, ...quick })).toMatchObject({
        received: 0,
      });
    }));

  test("of thousands of rules are set up too, and their chains moved", () =>
    withNamespaces(1, async ([lab]) => {
      const rules = Array.from({ length: 2000 }, (_, i) =>
        rule([ip("saddr").eq(`10.1.${i >> 8}.${i & 255}`), accept()]),
      );
      const nft = nftablesIn(lab);
      await nft.replaceTable({
        family: "inet",
        name: "big",
        chains: [{ name: "in", hook: { name: "input" }, rules }],
      });
      const moved = { name: "in", hook: { name: "output", priority: 7 } } as const;
      await nft.replaceTable({
        family: "inet",
        name: "big",
        chains: [{ ...moved, rules: rules.slice(0, 3) }],
      });
      await nft.replaceTable({ family: "inet", name: "big", chains: [] });
      expect(await nft.tables()).toEqual([{ family: "inet", name: "big", owner: "none" }]);
    }));

  test("need a privilege, and the error names it", () =>
    withNamespaces(1, async () => {
      const prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
      const { stdout } = await runChild("filter-without-privilege", { prefix });
      expect(stdout).toMatch(/^PermissionDenied: .*lacks CAP_NET_ADMIN/);
    }));
});
