import { once } from "node:events";
import { watch } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  checkRules,
  parseRules,
  watchedRules,
  type Firewall,
  type FirewallEvent,
  type RuleSet,
  type RulesSource,
} from "../../../../src/elements/firewall/index.js";
import {
  connectIn,
  createVeth,
  netlinkIn,
  ping,
  tcpConnect,
  tcpListen,
  udpEcho,
  udpProbe,
  writeSysctl,
  type NetworkNamespace,
} from "../../../../src/linux/index.js";
import { nftablesIn } from "../../../../src/linux/nftables/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { firstValueFrom, NEVER, ReplaySubject, Subject, take, toArray } from "rxjs";
import { beforeAll, describe, expect, test } from "vitest";
import {
  addresses,
  kernelConnection,
  client4,
  client6,
  endpoint4,
  endpoint6,
  endpointWithFirewall,
  wire,
  wireName,
} from "./kit.js";

const rules = `
- { name: ping, action: allow, protocol: icmp, icmp: echo-request }
- { name: not from there, action: deny, protocol: tcp, from: [192.0.2.0/24, "2001:db8:bad::/48"] }
- { name: web, action: allow, protocol: tcp, ports: [80, 8000-8010] }
- { name: names, action: allow, protocol: udp, ports: 53, to: [${endpoint4}, ${endpoint6}] }
- { name: never ssh, action: deny, protocol: tcp, ports: 22 }
`;

/** How long a probe waits when no answer may come, and when one must: TCP tries again after 1,000 ms. */
const timeoutMs = 400;
const answerMs = 900;

type Counters = Awaited<ReturnType<Firewall["counters"]>>;

/** Packets by rule. */
function counted({ rules, denied }: Counters): Record<string, number> {
  return { ...Object.fromEntries(rules.map(({ name, packets }) => [name, packets])), denied: denied.packets };
}

/** A connection that stays open: what is sent to it comes back. */
async function openEchoConnection(client: NetworkNamespace, host: string, port: number) {
  const socket = await connectIn({ namespace: client, host, port, timeoutMs });
  return {
    close: () => socket.destroy(),
    async echo(word: string, patienceMs = 2_000): Promise<string> {
      const answer = once(socket, "data", { signal: AbortSignal.timeout(patienceMs) });
      socket.write(word);
      const [data] = (await answer) as [Buffer];
      return data.toString();
    },
  };
}

/** Rules that a test changes. */
function changing(first: string) {
  const changes = new Subject<RuleSet>();
  const events: FirewallEvent[] = [];
  const observed = new Subject<FirewallEvent>();
  const source: RulesSource = {
    current: () => parseRules(first),
    changes,
    refusals: NEVER,
    close: () => changes.complete(),
  };
  return {
    source,
    events,
    onEvent: (event: FirewallEvent) => {
      events.push(event);
      observed.next(event);
    },
    async change(text: string): Promise<FirewallEvent> {
      const next = firstValueFrom(observed);
      changes.next(parseRules(text));
      return next;
    },
  };
}

// Node keeps what it watches files with, once it was needed.
beforeAll(() => watch(tmpdir()).close());

describe("a firewall", () => {
  test.each([
    ["IPv4", endpoint4],
    ["IPv6", endpoint6],
  ])("lets through what a rule allows over %s, drops the rest, and counts every packet", (_version, host) =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { firewall, request, close, leftovers } = endpointWithFirewall(endpoint, {
        rules: parseRules(rules),
      });
      await request(kernelConnection);
      await wire(client, endpoint);
      const listeners = await Promise.all(
        [80, 8010, 22, 8011].map((port) => tcpListen({ namespace: endpoint, host, port })),
      );
      const echo = await udpEcho({ namespace: endpoint, host, port: 53 });
      const dark = await udpEcho({ namespace: endpoint, host, port: 54 });

      const namespace = client;
      expect(await ping({ namespace, to: host, count: 5 })).toMatchObject({ sent: 5, received: 5 });
      expect(await firewall.counters()).toMatchObject({ established: { packets: 5 } }); // the replies
      expect(await udpProbe({ namespace, host, port: 53, timeoutMs: answerMs })).toBe("answered");
      expect(await udpProbe({ namespace, host, port: 54, timeoutMs: 100 })).toBe("timeout");
      expect(await tcpConnect({ namespace, host, port: 22, timeoutMs })).toBe("timeout");
      expect(await tcpConnect({ namespace, host, port: 8011, timeoutMs })).toBe("timeout");
      // An allowed port without a listener refuses.
      expect(await tcpConnect({ namespace, host, port: 8000, timeoutMs: answerMs })).toBe("refused");
      const counters = await firewall.counters();
      expect(counted(counters)).toEqual({
        ping: 5,
        "not from there": 0,
        web: 1,
        names: 1,
        "never ssh": 1,
        denied: 2,
      });
      // IP header, ICMP header, 16 bytes: what ping() sends.
      expect(counters.rules[0]!.bytes).toBe(5 * ((host === endpoint4 ? 20 : 40) + 8 + 16));

      expect(await tcpConnect({ namespace, host, port: 8010, timeoutMs: answerMs })).toBe("open");
      expect(counted(await firewall.counters()).web).toBeGreaterThanOrEqual(3);
      expect(listeners.map(({ accepted }) => accepted)).toEqual([0, 1, 0, 0]);
      expect([echo.received, dark.received]).toEqual([1, 0]);

      for (const one of [...listeners, echo, dark]) await one.close();
      await netlinkIn(endpoint).deleteLink(wireName);
      await close();
      await firewall.stop();
      expect(leftovers()).toEqual({});
      expect(await nftablesIn(endpoint).tables()).toEqual([]);
    }),
  );

  test("distinguishes addresses, and applies the first rule that matches", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: parseRules(rules) });
      const [bad4, bad6] = ["192.0.2.9", "2001:db8:bad::9"];
      await request({ ...kernelConnection, context: addresses(client4, client6, bad4, bad6) });
      await wire(client, endpoint);
      for (const address of [bad4, bad6]) await netlinkIn(client).addAddress("nsm-1", address);
      for (const destination of [bad4, bad6]) {
        await netlinkIn(endpoint).replaceRoute({
          destination: `${destination}/${destination === bad4 ? 32 : 128}`,
          link: wireName,
        });
      }
      for (const [host, from] of [
        [endpoint4, bad4],
        [endpoint6, bad6],
      ] as const) {
        const web = await tcpListen({ namespace: endpoint, host, port: 80 });
        expect(await tcpConnect({ namespace: client, host, from, port: 80, timeoutMs })).toBe("timeout");
        expect(await tcpConnect({ namespace: client, host, port: 80, timeoutMs: answerMs })).toBe("open");
        await web.close();
      }
      expect(counted(await firewall.counters())).toMatchObject({ "not from there": 2, denied: 0 });
      await firewall.stop();
    }));

  test("lets everything through both ways without rules, and judges the flows of that time by rules that come", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { source, change, onEvent, events } = changing("[]");
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: source, onEvent });
      await request(kernelConnection);
      await wire(client, endpoint);
      const there = await tcpListen({ namespace: endpoint, host: endpoint4, port: 7 });
      const back = await tcpListen({ namespace: client, host: client4, port: 8 });
      expect(await ping({ namespace: endpoint, to: client4, count: 1 })).toMatchObject({ received: 1 });
      const [connection, other] = [
        await openEchoConnection(client, endpoint4, 7),
        await openEchoConnection(endpoint, client4, 8),
      ];
      expect(await connection.echo("one")).toBe("one");
      expect(await other.echo("one")).toBe("one");

      await change("- { name: out, action: allow, protocol: tcp, ports: 7 }");
      expect(await connection.echo("two")).toBe("two");
      await expect(other.echo("two", 300)).rejects.toThrow();
      await change("- { name: nothing, action: deny, direction: both }");
      await expect(connection.echo("three", 300)).rejects.toThrow();
      expect(await tcpConnect({ namespace: client, host: endpoint4, port: 7, timeoutMs })).toBe("timeout");
      expect(events).toEqual([
        { event: "rules", rules: 1 },
        { event: "rules", rules: 1 },
      ]);

      connection.close();
      other.close();
      await there.close();
      await back.close();
      await firewall.stop();
    }));

  test("opens a port when its rules change, while connections live on and counters of rules that stay go on", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const ping1 = "- { name: ping, action: allow, protocol: icmp }";
      const web = "- { name: web, action: allow, protocol: tcp, ports: 80 }";
      const { source, change, onEvent } = changing(`${ping1}\n${web}`);
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: source, onEvent });
      await request(kernelConnection);
      await wire(client, endpoint);
      const listeners = await Promise.all(
        [80, 81].map((port) => tcpListen({ namespace: endpoint, host: endpoint4, port })),
      );
      const connection = await openEchoConnection(client, endpoint4, 80);
      await ping({ namespace: client, to: endpoint4, count: 3 });
      expect(await tcpConnect({ namespace: client, host: endpoint4, port: 81, timeoutMs })).toBe("timeout");

      const more = "- { name: more, action: allow, protocol: tcp, ports: 81 }";
      expect(await change([more, ping1, web].join("\n"))).toEqual({ event: "rules", rules: 3 });
      expect(await tcpConnect({ namespace: client, host: endpoint4, port: 81, timeoutMs: answerMs })).toBe(
        "open",
      );
      expect(await connection.echo("still here")).toBe("still here");
      expect(listeners[0]!.accepted).toBe(1);
      expect(counted(await firewall.counters())).toMatchObject({ ping: 3, denied: 1 });

      connection.close();
      for (const one of listeners) await one.close();
      await firewall.stop();
    }));

  test("keeps the rules of before when a file changes to bad ones, and takes it when it is good again", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const directory = await mkdtemp(join(tmpdir(), "firewall-"));
      const file = join(directory, "rules.yaml");
      await writeFile(file, "- { name: ping, action: allow, protocol: icmp }\n");
      const observed = new ReplaySubject<FirewallEvent>();
      const events = observed.pipe(take(2), toArray());
      const { firewall, request } = endpointWithFirewall(endpoint, {
        rules: await watchedRules(file),
        onEvent: (event) => observed.next(event),
      });
      try {
        await request(kernelConnection);
        await wire(client, endpoint);
        await writeFile(
          file,
          "- { name: ping, action: allow, protocol: icmp }\n- { name: web, action: alow }\n",
        );
        const refused = await firstValueFrom(observed);
        expect(refused).toMatchObject({
          event: "rules-refused",
          error: expect.stringContaining(`${file}:2: rule "web": action: invalid value "alow":`),
        });
        expect(await ping({ namespace: client, to: endpoint4, count: 1 })).toMatchObject({ received: 1 });
        expect(await tcpConnect({ namespace: client, host: endpoint4, port: 80, timeoutMs })).toBe("timeout");
        await writeFile(`${file}.new`, "- { name: all, action: allow }\n");
        await rename(`${file}.new`, file);
        expect(await firstValueFrom(events)).toEqual([refused, { event: "rules", rules: 1 }]);
        expect(await tcpConnect({ namespace: client, host: endpoint4, port: 80, timeoutMs: answerMs })).toBe(
          "refused",
        );
      } finally {
        await firewall.stop();
        await rm(directory, { recursive: true });
      }
    }));

  test("allows connections towards the client only by an explicit rule", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const outward = "- { name: out, action: allow }";
      const { source, change, onEvent } = changing(outward);
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: source, onEvent });
      await request(kernelConnection);
      await wire(client, endpoint);
      const there = await tcpListen({ namespace: client, host: client6, port: 80 });
      const back = { namespace: endpoint, host: client6, port: 80, timeoutMs };
      // A filter notifies senders on the same machine.
      expect(await tcpConnect(back)).not.toBe("open");
      expect(there.accepted).toBe(0);
      await change(
        `${outward}\n- { name: in, action: allow, protocol: tcp, ports: 80, direction: to-client }`,
      );
      expect(await tcpConnect(back)).toBe("open");
      // What comes back from the client is no packet of "out".
      expect(counted(await firewall.counters())).toMatchObject({ out: 0 });
      await there.close();
      await firewall.stop();
    }));

  test("keeps its clients apart from each other, and lets them through to what is behind it", () =>
    withNamespaces(4, async ([one, other, endpoint, behind]) => {
      const { firewall, request } = endpointWithFirewall(endpoint, {
        rules: checkRules([{ name: "out", action: "allow" }]),
      });
      const second = {
        ...kernelConnection,
        id: "two",
        mechanism: { ...kernelConnection.mechanism!, parameters: { name: "fw-2" } },
      };
      await request({ ...kernelConnection, context: addresses("10.1.0.2") });
      await request({ ...second, context: addresses("10.2.0.2") });
      await routed(endpoint, [
        { namespace: one, name: wireName, subnet: "10.1.0" },
        { namespace: other, name: "fw-2", subnet: "10.2.0" },
        { namespace: behind, name: "lan", subnet: "10.3.0" },
      ]);
      expect(await ping({ namespace: one, to: "10.3.0.2", count: 2 })).toMatchObject({ received: 2 });
      expect(await ping({ namespace: other, to: "10.3.0.2", count: 1 })).toMatchObject({ received: 1 });
      expect(await ping({ namespace: one, to: "10.2.0.2", count: 1, timeoutMs })).toMatchObject({
        received: 0,
      });
      expect(await ping({ namespace: behind, to: "10.1.0.2", count: 1, timeoutMs })).toMatchObject({
        received: 0,
      });
      // Interfaces that are no wires are left alone.
      expect(await ping({ namespace: behind, to: "10.3.0.1", count: 1 })).toMatchObject({ received: 1 });
      expect(await firewall.counters()).toMatchObject({
        denied: { packets: 2 },
        established: { packets: 3 },
      });
      await firewall.stop();
    }));

  test("reads the Go firewall's ACL map: permitted traffic passes, everything else does not", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const acl = `
allow tcp80:
    proto: 6
    srcportoricmptypelast: 65535
    dstportoricmpcodefirst: 80
    dstportoricmpcodelast: 80
    ispermit: 1
forbid tcp8080:
    proto: 6
    srcportoricmptypelast: 65535
    dstportoricmpcodefirst: 8080
    dstportoricmpcodelast: 8080
allow icmp:
    proto: 1
    srcportoricmptypelast: 65535
    dstportoricmpcodelast: 65535
    ispermit: 1
`;
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: parseRules(acl) });
      await request(kernelConnection);
      await wire(client, endpoint);
      const namespace = client;
      expect(await ping({ namespace, to: endpoint4, count: 2 })).toMatchObject({ received: 2 });
      expect(await tcpConnect({ namespace, host: endpoint4, port: 80, timeoutMs: answerMs })).toBe("refused");
      expect(await tcpConnect({ namespace, host: endpoint4, port: 8080, timeoutMs })).toBe("timeout");
      expect(await tcpConnect({ namespace, host: endpoint4, port: 81, timeoutMs })).toBe("timeout");
      expect(await ping({ namespace, to: endpoint6, count: 1, timeoutMs })).toMatchObject({ received: 0 });
      expect(counted(await firewall.counters())).toEqual({
        "allow tcp80": 1,
        "forbid tcp8080": 1,
        "allow icmp": 2,
        denied: 2,
      });
      await firewall.stop();
    }));
});

/** Joins namespaces to a router, each in a subnet of its own, where the router is .1 and the namespace .2. */
async function routed(
  router: NetworkNamespace,
  ends: readonly { namespace: NetworkNamespace; name: string; subnet: string }[],
): Promise<void> {
  writeSysctl(router, "ipv4/ip_forward", "1");
  for (const { namespace, name, subnet } of ends) {
    await createVeth({
      a: { namespace, name: "eth0", up: true },
      b: { namespace: router, name, up: true },
    });
    await netlinkIn(router).addAddress(name, `${subnet}.1/24`);
    await netlinkIn(namespace).addAddress("eth0", `${subnet}.2/24`);
    await netlinkIn(namespace).replaceRoute({
      destination: "0.0.0.0/0",
      link: "eth0",
      gateway: `${subnet}.1`,
    });
  }
}
