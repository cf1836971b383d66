import { Code } from "../../../../src/core/index.js";
import { checkRules, kernelPacketFilter } from "../../../../src/elements/firewall/index.js";
import { netlinkIn, ping, type NetworkNamespace } from "../../../../src/linux/index.js";
import { nftablesIn } from "../../../../src/linux/nftables/index.js";
import { virtualClock } from "../../../../src/testing/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { kernelConnection, endpoint4, endpointWithFirewall, wire, wireName } from "./kit.js";

const nothing = checkRules([{ name: "nothing", action: "deny" }]);
const everything = checkRules([{ name: "everything", action: "allow" }]);

const tablesOf = async (namespace: NetworkNamespace) =>
  (await nftablesIn(namespace).tables()).map(({ family, name }) => `${family} ${name}`);

const answers = async (client: NetworkNamespace) =>
  (await ping({ namespace: client, to: endpoint4, count: 1, timeoutMs: 150 })).received === 1;

describe("a firewall's table", () => {
  test("stands before the endpoint answers, once for all connections, unchanged by refreshes", () =>
    withNamespaces(1, async ([endpoint]) => {
      const { firewall, request, refresh, close } = endpointWithFirewall(endpoint, { rules: nothing });
      expect(await tablesOf(endpoint)).toEqual([]);
      await request(kernelConnection);
      expect(await tablesOf(endpoint)).toEqual(["inet nsm-firewall-fw"]);
      await refresh();
      expect(await tablesOf(endpoint)).toEqual(["inet nsm-firewall-fw"]);
      await close();
      await firewall.stop();
      await firewall.stop();
      expect(await tablesOf(endpoint)).toEqual([]);
    }));

  test("cannot be removed by other programs while the firewall runs", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { firewall, request } = endpointWithFirewall(endpoint, { rules: nothing });
      await request(kernelConnection);
      await wire(client, endpoint);
      const tables = await nftablesIn(endpoint).tables();
      if (tables[0]?.owner !== "process") return; // Linux 6.9 can; before it the firewall looks after its table
      await expect(nftablesIn(endpoint).deleteTable("inet", "nsm-firewall-fw")).rejects.toMatchObject({
        code: Code.PermissionDenied,
      });
      const second = endpointWithFirewall(endpoint, { rules: everything });
      await expect(second.firewall.prepare()).rejects.toMatchObject({
        code: Code.AlreadyExists,
        message: expect.stringContaining("another process owns it"),
      });
      await second.firewall.stop();
      expect(await answers(client)).toBe(false);
      await firewall.stop();
    }));

  test("is made ahead by prepare(), and filters what still stands after stop() until a successor takes it over", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const first = endpointWithFirewall(endpoint, { rules: nothing });
      await first.firewall.prepare();
      expect(await tablesOf(endpoint)).toEqual(["inet nsm-firewall-fw"]);
      await first.request(kernelConnection);
      await wire(client, endpoint);
      expect(await answers(client)).toBe(false);
      await first.firewall.stop();
      expect(await answers(client)).toBe(false);
      await expect(first.request({ ...kernelConnection, id: "late" })).rejects.toMatchObject({
        code: Code.FailedPrecondition,
      });
      expect(await answers(client)).toBe(false);

      const second = endpointWithFirewall(endpoint, { rules: everything });
      await second.firewall.prepare();
      expect(await answers(client)).toBe(true);
      await netlinkIn(endpoint).deleteLink(wireName);
      await second.firewall.stop();
      expect(await tablesOf(endpoint)).toEqual([]);
    }));

  test("that is orphaned is removed by the next firewall in the namespace, whatever its name", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const first = endpointWithFirewall(endpoint, { name: "old", rules: nothing });
      await first.request(kernelConnection);
      await wire(client, endpoint);
      await first.firewall.stop();
      const [left] = await nftablesIn(endpoint).tables();
      expect(left).toMatchObject({ name: "nsm-firewall-old" });
      if (left?.owner !== "gone") return; // older kernels do not report whose process is gone

      const [second, third] = ["second", "third"].map((name) =>
        endpointWithFirewall(endpoint, { name, rules: nothing }),
      );
      await second!.firewall.prepare();
      expect(await tablesOf(endpoint)).toContain("inet nsm-firewall-old");
      await netlinkIn(endpoint).deleteLink(wireName);
      await third!.firewall.prepare();
      expect((await tablesOf(endpoint)).sort()).toEqual([
        "inet nsm-firewall-second",
        "inet nsm-firewall-third",
      ]);
      for (const one of [second, third]) await one!.firewall.stop();
      expect(await tablesOf(endpoint)).toEqual([]);
    }));

  test("filters an interface after its Close for as long as it stands", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const clock = virtualClock();
      const { firewall, request, close, leftovers } = endpointWithFirewall(endpoint, {
        rules: nothing,
        clock,
      });
      await request(kernelConnection);
      await wire(client, endpoint);
      await close();
      expect(await answers(client)).toBe(false);
      expect(leftovers()).toEqual({ firewall: { orphans: 1 } });

      await netlinkIn(endpoint).deleteLink(wireName);
      await clock.advance(1_000);
      expect(leftovers()).toEqual({});
      expect(clock.timers).toBe(0);
      // The name is anybody's again.
      await wire(client, endpoint);
      expect(await answers(client)).toBe(true);
      await firewall.stop();
    }));

  test("left by a process that was killed goes on filtering until that interface is gone", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const filter = kernelPacketFilter(endpoint.path);
      const first = endpointWithFirewall(endpoint, { rules: everything, filter });
      await first.request(kernelConnection);
      await wire(client, endpoint);
      expect(await answers(client)).toBe(true);
      filter.close(); // all that the end of a process does

      const clock = virtualClock();
      const second = endpointWithFirewall(endpoint, { rules: nothing, clock });
      await second.firewall.prepare();
      expect(await tablesOf(endpoint)).toEqual(["inet nsm-firewall-fw"]);
      expect(await answers(client)).toBe(false);
      expect(second.leftovers()).toEqual({ firewall: { orphans: 1 } });

      // The connection comes back to the new process, which has no name for its interface but this one.
      await second.request(kernelConnection);
      expect(await answers(client)).toBe(false);
      await netlinkIn(endpoint).deleteLink(wireName);
      await second.close();
      expect(second.leftovers()).toEqual({});
      await second.firewall.stop();
      expect(await tablesOf(endpoint)).toEqual([]);
    }));

  test("does not cut off an interface that is no wire", () =>
    withNamespaces(1, async ([endpoint]) => {
      const { firewall, request, leftovers } = endpointWithFirewall(endpoint, { rules: nothing });
      const loopback = {
        ...kernelConnection,
        mechanism: { ...kernelConnection.mechanism!, parameters: { name: "lo" } },
      };
      await expect(request(loopback)).rejects.toMatchObject({
        code: Code.AlreadyExists,
        message: expect.stringContaining('"lo"'),
      });
      expect(leftovers()).toEqual({});
      await firewall.stop();
    }));

  test("is in the namespace where the interface goes, or the Request is refused", () =>
    withNamespaces(2, async ([elsewhere, endpoint]) => {
      const { firewall, request, leftovers } = endpointWithFirewall(endpoint, {
        rules: nothing,
        netns: elsewhere.path,
      });
      await expect(request(kernelConnection)).rejects.toMatchObject({
        code: Code.FailedPrecondition,
        message: expect.stringContaining("the firewall filters another namespace"),
      });
      expect(leftovers()).toEqual({});
      expect([await tablesOf(elsewhere), await tablesOf(endpoint)]).toEqual([[], []]);
      await firewall.stop();
    }));
});
