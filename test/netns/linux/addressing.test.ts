import { Code } from "../../../src/core/index.js";
import {
  createVeth,
  enableIpv6,
  netlinkIn,
  type NetworkNamespace,
  ping,
  writeSysctl,
} from "../../../src/linux/index.js";
import { withNamespaces } from "../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { untilUsable } from "../../../src/linux/rtnetlink/usable.js";

async function wire(a: NetworkNamespace, b: NetworkNamespace) {
  return createVeth({
    a: { namespace: a, name: "nsm-1", up: true },
    b: { namespace: b, name: "fw-1", up: true },
  });
}

/** What a user of the wire sees of its addresses, without the kernel's own link-local ones. */
async function addressesOf(namespace: NetworkNamespace, link: string) {
  const all = await netlinkIn(namespace).addresses(link);
  return all.filter(({ scope }) => scope === "universe").map(({ address }) => address);
}

describe("addresses", () => {
  test("are usable at once, of either version, and given twice are there once", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { a } = await wire(client, endpoint);
      const netlink = netlinkIn(client);
      for (const address of [
        "172.16.1.101/32",
        "10.0.0.7/24",
        "2001:db8::101",
        "172.16.1.101/32",
        "2001:db8::101",
      ]) {
        await netlink.addAddress("nsm-1", address);
      }
      const listed = (await netlink.addresses("nsm-1")).filter(({ scope }) => scope === "universe");
      expect(listed).toEqual([
        {
          address: "172.16.1.101/32",
          family: 4,
          linkIndex: a.index,
          scope: "universe",
          tentative: false,
          duplicate: false,
        },
        {
          address: "10.0.0.7/24",
          family: 4,
          linkIndex: a.index,
          scope: "universe",
          tentative: false,
          duplicate: false,
        },
        {
          address: "2001:db8::101/128",
          family: 6,
          linkIndex: a.index,
          scope: "universe",
          tentative: false,
          duplicate: false,
        },
      ]);
      await netlink.removeAddress(a.index, "10.0.0.7/24");
      await netlink.removeAddress("nsm-1", "2001:db8::101/128");
      expect(await addressesOf(client, "nsm-1")).toEqual(["172.16.1.101/32"]);
    }));

  test("of all links are listed together, loopback's among them", () =>
    withNamespaces(1, async ([lab]) => {
      const loopback = (await netlinkIn(lab).addresses()).map(({ address, scope }) => ({ address, scope }));
      expect(loopback).toContainEqual({ address: "127.0.0.1/8", scope: "host" });
    }));

  test("that a link cannot have or does not have are refused with the reason", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      await wire(client, endpoint);
      const netlink = netlinkIn(client);
      const refusals: [() => Promise<unknown>, Code, RegExp][] = [
        [() => netlink.addAddress("nsm-1", "10.0.0.256/24"), Code.InvalidArgument, /10\.0\.0\.256/],
        [() => netlink.addAddress("nsm-2", "10.0.0.1/24"), Code.NotFound, /nsm-2/],
        [() => netlink.addAddress("nsm-1", "ff02::1/64"), Code.InvalidArgument, /multicast/i],
        [() => netlink.removeAddress("nsm-1", "10.0.0.1/24"), Code.NotFound, /10\.0\.0\.1\/24/],
        [() => netlink.addresses("nsm-2"), Code.NotFound, /nsm-2/],
      ];
      for (const [refused, code, message] of refusals) {
        await expect(refused()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
      }
      expect(await addressesOf(client, "nsm-1")).toEqual([]);
    }));

  test("of version 6 need it switched on for the link", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      writeSysctl(client, "ipv6/conf/default/disable_ipv6", "1");
      await wire(client, endpoint);
      await expect(netlinkIn(client).addAddress("nsm-1", "2001:db8::1/64")).rejects.toMatchObject({
        code: Code.FailedPrecondition,
        message: expect.stringMatching(/IPv6 is disabled/),
      });
      enableIpv6(client, "nsm-1");
      await netlinkIn(client).addAddress("nsm-1", "2001:db8::1/64");
      expect(await addressesOf(client, "nsm-1")).toEqual(["2001:db8::1/64"]);
    }));
});

describe("IPv6 addresses", () => {
  test("answer once they are reported usable", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      await wire(client, endpoint);
      for (const [namespace, link, own, far] of [
        [client, "nsm-1", "2001:db8::1", "2001:db8::2"],
        [endpoint, "fw-1", "2001:db8::2", "2001:db8::1"],
      ] as const) {
        await netlinkIn(namespace).addAddress(link, own);
        await netlinkIn(namespace).addressesUsable(link);
        await netlinkIn(namespace).replaceRoute({ destination: far, link });
      }
      // Were the far end not ready, the client would query it again only a second later.
      const result = await ping({ namespace: client, to: "2001:db8::2", count: 1, timeoutMs: 900 });
      expect(result.received).toBe(1);
    }));

  test("are checked again when the kernel reports a change, within the time limit", () =>
    withNamespaces(1, async ([lab]) => {
      const never = () => Promise.resolve(["2001:db8::1/128"]);
      await expect(untilUsable(lab, never, { timeoutMs: 20 })).rejects.toMatchObject({
        code: Code.DeadlineExceeded,
        message: expect.stringMatching(/2001:db8::1\/128.*20 ms/),
      });
      const stop = new AbortController();
      const waiting = untilUsable(lab, never, { signal: stop.signal, timeoutMs: 60_000 });
      stop.abort(new Error("no longer wanted"));
      await expect(waiting).rejects.toThrow("no longer wanted");

      const netlink = netlinkIn(lab);
      const missing = async () => ((await netlink.addresses("lo")).length < 3 ? ["2001:db8::1/128"] : []);
      const usable = untilUsable(lab, missing, { timeoutMs: 20_000 });
      await netlink.addAddress("lo", "2001:db8::1");
      await usable;
      expect(await netlink.addresses("lo")).toHaveLength(3);
    }));

  test("need no waiting where there are none", () =>
    withNamespaces(1, async ([lab]) => {
      await netlinkIn(lab).addAddress("lo", "10.0.0.1/32");
      await expect(netlinkIn(lab).addressesUsable("lo", { timeoutMs: 0 })).resolves.toBeUndefined();
    }));
});

describe("routes", () => {
  test("replace one another, and are deleted by what names them", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { a } = await wire(client, endpoint);
      const netlink = netlinkIn(client);
      await netlink.addAddress("nsm-1", "172.16.1.101/32");
      const ipv4Routes = async () =>
        (await netlink.routes({ link: "nsm-1" })).filter(({ family }) => family === 4);
      const route = { destination: "172.16.1.100/32", link: "nsm-1" };
      await netlink.replaceRoute(route);
      await netlink.replaceRoute(route);
      await netlink.replaceRoute({ ...route, scope: "universe" });
      await netlink.replaceRoute({ destination: "10.1.2.3/8", link: a.index, gateway: "172.16.1.100" });
      expect(await ipv4Routes()).toMatchObject([
        {
          destination: "10.0.0.0/8",
          gateway: "172.16.1.100",
          onlink: true,
          scope: "universe",
          linkIndex: a.index,
        },
        { destination: "172.16.1.100/32", gateway: undefined, scope: "universe", table: 254 },
      ]);
      await netlink.deleteRoute(route);
      await netlink.deleteRoute({ destination: "10.0.0.0/8", link: "nsm-1" });
      expect(await ipv4Routes()).toEqual([]);
    }));

  test("have tables of their own, an IPv6 counterpart and a source", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      await wire(client, endpoint);
      const netlink = netlinkIn(client);
      await netlink.addAddress("nsm-1", "2001:db8::101/128");
      const route = { destination: "::/0", link: "nsm-1", gateway: "2001:db8::100", table: 1000, metric: 5 };
      await netlink.replaceRoute({ ...route, source: "2001:db8::101" });
      expect(await netlink.routes({ table: 1000 })).toMatchObject([
        {
          destination: "::/0",
          family: 6,
          gateway: "2001:db8::100",
          source: "2001:db8::101",
          metric: 5,
          onlink: true,
        },
      ]);
      expect((await netlink.routes({ table: 254 })).map(({ destination }) => destination)).not.toContain(
        "::/0",
      );
      await netlink.deleteRoute(route);
      expect(await netlink.routes({ table: 1000 })).toEqual([]);
    }));

  test("go with their link, and are refused while it is down or without a way to the gateway", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      await createVeth({ a: { namespace: client, name: "nsm-1" }, b: { namespace: endpoint, name: "fw-1" } });
      const netlink = netlinkIn(client);
      const route = { destination: "172.16.1.100/32", link: "nsm-1" };
      await expect(netlink.replaceRoute(route)).rejects.toMatchObject({
        code: Code.FailedPrecondition,
        message: expect.stringMatching(/172\.16\.1\.100\/32.*down/i),
      });
      await netlink.setLink("nsm-1", { up: true });
      await netlink.replaceRoute(route);
      await expect(netlink.deleteRoute({ ...route, destination: "1.2.3.4/32" })).rejects.toMatchObject({
        code: Code.NotFound,
      });
      await expect(
        netlink.replaceRoute({ destination: "0.0.0.0/0", link: "nsm-1", gateway: "9.9.9.9", onlink: false }),
      ).rejects.toMatchObject({ code: Code.FailedPrecondition, message: expect.stringMatching(/gateway/i) });
      await netlink.deleteLink("nsm-1");
      expect(await netlink.routes()).toEqual([]);
    }));
});

describe("rules", () => {
  test("choose a table by what a packet is", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const rule = {
        from: "172.16.2.0/24",
        protocol: 6,
        destinationPorts: { first: 6666, last: 6667 },
        incoming: "lo",
        table: 1001,
        priority: 100,
      };
      await netlink.addRule(rule);
      expect(await netlink.rules(4)).toContainEqual({ ...rule, family: 4 });
      await expect(netlink.addRule(rule)).rejects.toMatchObject({ code: Code.AlreadyExists });
      await netlink.deleteRule(rule);
      await expect(netlink.deleteRule(rule)).rejects.toMatchObject({ code: Code.NotFound });
      expect((await netlink.rules(4)).map(({ table }) => table)).toEqual([255, 254, 253]);
    }));

  test("of version 6 are apart from those of version 4", () =>
    withNamespaces(1, async ([lab]) => {
      const netlink = netlinkIn(lab);
      const before = await netlink.rules(4);
      await netlink.addRule({ family: 6, table: 7, priority: 5 });
      expect(await netlink.rules(6)).toContainEqual({ family: 6, table: 7, priority: 5 });
      expect(await netlink.rules(4)).toEqual(before);
    }));
});

describe("neighbors", () => {
  test("are permanent unless asked otherwise, replaced by address, listed by link", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { a, b } = await wire(client, endpoint);
      const netlink = netlinkIn(client);
      const listNeighbors = async () =>
        (await netlink.neighbors("nsm-1")).filter(({ state }) => state !== "noarp");
      await netlink.replaceNeighbor({ link: "nsm-1", address: "172.16.1.100", mac: "02:00:00:00:00:01" });
      await netlink.replaceNeighbor({ link: "nsm-1", address: "172.16.1.100", mac: b.mac! });
      await netlink.replaceNeighbor({
        link: a.index,
        address: "2001:db8::100",
        mac: b.mac!,
        state: "reachable",
      });
      const entry = { linkIndex: a.index, mac: b.mac };
      expect(await listNeighbors()).toEqual([
        { ...entry, address: "172.16.1.100", state: "permanent" },
        { ...entry, address: "2001:db8::100", state: "reachable" },
      ]);
      await netlink.deleteNeighbor({ link: "nsm-1", address: "172.16.1.100" });
      expect((await listNeighbors()).map(({ address }) => address)).not.toContain("172.16.1.100");
      await expect(netlink.deleteNeighbor({ link: "nsm-1", address: "172.16.1.99" })).rejects.toMatchObject({
        code: Code.NotFound,
      });
    }));
});
