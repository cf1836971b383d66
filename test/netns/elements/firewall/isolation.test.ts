import { existsSync, readFileSync } from "node:fs";
import { checkRules, parseRules } from "../../../../src/elements/firewall/index.js";
import {
  createVeth,
  netlinkIn,
  ping,
  readSysctl,
  udpEcho,
  udpProbe,
  type NetworkNamespace,
} from "../../../../src/linux/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { describe, expect, test, vi } from "vitest";
import { datagrams } from "./datagrams.js";
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
import { advertiseRouter } from "./rogue-router.js";

const everything = checkRules([{ name: "everything", action: "allow", direction: "both" }]);

const trackedConnections = "/proc/thread-self/net/nf_conntrack";

const defaultRoutes = async (namespace: NetworkNamespace) =>
  (await netlinkIn(namespace).routes()).filter(({ destination }) => destination === "::/0");

describe("a client behind a firewall", () => {
  test.each([
    ["all packets pass", parseRules("[]")],
    ["a rule allows all packets", everything],
  ])("cannot become the endpoint's router, even where %s", (_rules, rules) =>
    withNamespaces(3, async ([client, endpoint, unfiltered]) => {
      const { firewall, request } = endpointWithFirewall(endpoint, { rules });
      await request(kernelConnection);
      await wire(client, endpoint);
      await createVeth({
        a: { namespace: client, name: "open", up: true },
        b: { namespace: unfiltered, name: "open", up: true },
      });
      // A link has its own address some time after it is up.
      await vi.waitFor(() => advertiseRouter(client, "open"), { timeout: 30_000 });
      await vi.waitFor(async () => expect(await defaultRoutes(unfiltered)).toHaveLength(1), {
        timeout: 30_000,
      });
      const before = (await firewall.counters()).denied.packets;
      await vi.waitFor(() => advertiseRouter(client, "nsm-1"), { timeout: 30_000 });
      expect(await ping({ namespace: client, to: endpoint6, count: 1 })).toMatchObject({ received: 1 });
      expect(await defaultRoutes(endpoint)).toEqual([]);
      expect((await firewall.counters()).denied.packets).toBe(before + 1);

      // For a time without the table.
      await vi.waitFor(() => {
        for (const setting of ["ipv6/conf/fw-1/accept_ra", "ipv6/conf/fw-1/accept_redirects"]) {
          expect(readSysctl(endpoint, setting)).toBe("0");
        }
        expect(readSysctl(endpoint, "ipv4/conf/fw-1/accept_redirects")).toBe("0");
      }, 30_000);
      await firewall.stop();
    }),
  );

  test.each([
    ["IPv4", endpoint4, client4, "192.0.2.9"],
    ["IPv6", endpoint6, client6, "2001:db8:bad::9"],
  ])(
    "can send from its own %s address only, unless the firewall accepts foreign ones",
    (_version, host, own, foreign) =>
      withNamespaces(2, async ([client, endpoint]) => {
        for (const allowForeignSources of [false, true]) {
          const { firewall, request, close } = endpointWithFirewall(endpoint, {
            rules: everything,
            allowForeignSources,
          });
          await request(kernelConnection);
          await wire(client, endpoint);
          const length = host === endpoint4 ? 32 : 128;
          await netlinkIn(client).addAddress("nsm-1", `${foreign}/${length}`);
          await netlinkIn(client).addressesUsable("nsm-1");
          await netlinkIn(endpoint).replaceRoute({ destination: `${foreign}/${length}`, link: wireName });
          const echo = await udpEcho({ namespace: endpoint, host, port: 53 });

          const probe = { namespace: client, host, port: 53, timeoutMs: 200 };
          expect(await udpProbe({ ...probe, from: own })).toBe("answered");
          expect(await udpProbe({ ...probe, from: foreign })).toBe(
            allowForeignSources ? "answered" : "timeout",
          );
          expect(echo.received).toBe(allowForeignSources ? 2 : 1);
          expect((await firewall.counters()).foreign.packets).toBe(allowForeignSources ? 0 : 1);

          await echo.close();
          await netlinkIn(endpoint).deleteLink(wireName);
          await close();
          await firewall.stop();
        }
      }),
  );

  test("does not inherit the flows of a client that had its address before", () =>
    withNamespaces(3, async ([first, second, endpoint]) => {
      const { firewall, request, close } = endpointWithFirewall(endpoint, {
        rules: checkRules([{ name: "out", action: "allow", protocol: "udp", direction: "to-client" }]),
      });
      const [here, there] = [
        { host: endpoint4, port: 5_000 },
        { host: client4, port: 6_000 },
      ];
      await request(kernelConnection);
      await wire(first, endpoint);
      const endpointSide = datagrams(endpoint, here, there);
      const closedClient = datagrams(first, there, here);
      endpointSide.send();
      expect(await closedClient.arrives()).toBe(true);
      closedClient.send();
      expect(await endpointSide.arrives()).toBe(true);
      closedClient.close();
      await netlinkIn(endpoint).deleteLink(wireName);
      await close();

      await request({ ...kernelConnection, id: "second" });
      await wire(second, endpoint);
      const successor = datagrams(second, there, here);
      successor.send();
      expect(await endpointSide.arrives()).toBe(false);
      // A flow of its own.
      endpointSide.send();
      expect(await successor.arrives()).toBe(true);
      successor.send();
      expect(await endpointSide.arrives()).toBe(true);
      for (const one of [successor, endpointSide]) one.close();
      await firewall.stop();
    }));

  test("has its connections tracked in a zone of its own", (context) =>
    withNamespaces(3, async ([first, second, endpoint]) => {
      if (!existsSync(trackedConnections)) context.skip("this kernel does not list its connections as text");
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: everything });
      await request(kernelConnection);
      await request({
        ...kernelConnection,
        id: "second",
        context: addresses("172.16.1.103"),
        mechanism: { ...kernelConnection.mechanism!, parameters: { name: "fw-2" } },
      });
      await wire(first, endpoint);
      await createVeth({
        a: { namespace: second, name: "nsm-1", up: true },
        b: { namespace: endpoint, name: "fw-2", up: true },
      });
      await netlinkIn(second).addAddress("nsm-1", "172.16.1.103");
      await netlinkIn(second).replaceRoute({ destination: endpoint4, link: "nsm-1" });
      await netlinkIn(endpoint).replaceRoute({ destination: "172.16.1.103", link: "fw-2" });
      for (const namespace of [first, second]) {
        expect(await ping({ namespace, to: endpoint4, count: 1 })).toMatchObject({ received: 1 });
      }
      const tracked = endpoint.run(() => readFileSync(trackedConnections, "utf8"));
      const zones = tracked.split("\n").filter((line) => line.includes(`dst=${endpoint4}`));
      expect(zones.map((line) => /src=(\S+) .*zone-orig=(\d+)/.exec(line)?.slice(1)).sort()).toEqual([
        [client4, "1"],
        ["172.16.1.103", "2"],
      ]);
      await firewall.stop();
    }));
});
