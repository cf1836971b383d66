import { once } from "node:events";
import { patchIpContext, Payload, type IPContext } from "../../../../src/api/index.js";
import { Code, NsmError } from "../../../../src/core/index.js";
import { connectionState } from "../../../../src/elements/connection-state/index.js";
import { pointToPointIpam } from "../../../../src/elements/ipam/point-to-point/index.js";
import { connectIn, listenIn, netlinkIn, readSysctl } from "../../../../src/linux/index.js";
import { run, sampleRequest } from "../../../../src/testing/index.js";
import { withNamespaces } from "../../../../src/testing/netns/index.js";
import { describe, expect, test } from "vitest";
import { ipContext, kernelMechanism } from "../../../elements/support/forwarder.js";
import { forwarder, dualStack, linksOf, interfaceState, reaches } from "./kit.js";

/** What an endpoint with that prefix makes of the context a connection brings. */
async function addressed(prefix: string, brought = ipContext({})): Promise<IPContext> {
  const { clock, send } = run([connectionState(), pointToPointIpam({ prefixes: [prefix] })]);
  const sample = sampleRequest(clock.now());
  const connection = patchIpContext(sample.connection!, () => brought);
  return (await send({ ...sample, connection })).context!.ipContext!;
}

describe("a wire of cross-connect in the kernel", () => {
  test("carries packets of both IP versions in both directions, and is gone after Close", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, answer, close, leftovers } = forwarder(client, endpoint);
      answer.ip = ipContext(dualStack);
      await sendRequest();
      expect(await interfaceState(client, "nsm-1")).toMatchObject({
        mtu: 9000,
        up: true,
        alias: expect.stringMatching(/^server-/),
        addresses: ["10.0.0.1/32", "fd00::1/128"],
        routes: expect.arrayContaining(["10.0.0.0/32 universe", "fd00::/128 universe"]),
      });
      expect(await interfaceState(endpoint, "fw-1")).toMatchObject({
        mtu: 9000,
        up: true,
        alias: expect.stringMatching(/^client-/),
      });
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      expect(await reaches(client, "fd00::", "fd00::1")).toBe(true);
      expect(await reaches(endpoint, "10.0.0.1", "10.0.0.0")).toBe(true);
      expect(await reaches(endpoint, "fd00::1", "fd00::")).toBe(true);
      expect(readSysctl(client, "ipv4/ping_group_range")).not.toBe("1\t0");
      expect(readSysctl(client, "ipv6/conf/nsm-1/disable_ipv6")).toBe("0");

      await close();
      expect([await linksOf(client), await linksOf(endpoint), leftovers()]).toEqual([[], [], {}]);
    }));

  test("also connects interfaces of one namespace", () =>
    withNamespaces(1, async ([lab]) => {
      const { sendRequest, close } = forwarder(lab, lab);
      await sendRequest();
      expect(await linksOf(lab)).toEqual(expect.arrayContaining(["nsm-1", "fw-1"]));
      await close();
      expect(await linksOf(lab)).toEqual([]);
    }));

  test("carries a connection on through refreshes, its interfaces untouched", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, refresh, answer } = forwarder(client, endpoint);
      answer.ip = ipContext(dualStack);
      await sendRequest();
      const server = await listenIn(endpoint, { host: "10.0.0.0", port: 0 }, (socket) => socket.pipe(socket));
      const { port } = server.address() as { port: number };
      const socket = await connectIn({ namespace: client, host: "10.0.0.0", port });
      const before = [await interfaceState(client, "nsm-1"), await interfaceState(endpoint, "fw-1")];
      const learnt = await netlinkIn(client).neighbors("nsm-1");

      for (const word of ["one", "two", "three"]) {
        await refresh();
        socket.write(word);
        const [echo] = (await once(socket, "data")) as [Buffer];
        expect(echo.toString()).toBe(word);
      }
      expect([await interfaceState(client, "nsm-1"), await interfaceState(endpoint, "fw-1")]).toEqual(before);
      // An interface that goes down for a moment forgets its neighbors.
      const known = (await netlinkIn(client).neighbors("nsm-1")).map(({ address }) => address);
      expect(known).toEqual(expect.arrayContaining(learnt.map(({ address }) => address)));
      expect(known).toContain("10.0.0.0");
      socket.destroy();
      server.close();
      await once(server, "close");
    }));

  test("follows the context: what is new is added, what is not wanted goes, the rest stays", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, refresh, answer } = forwarder(client, endpoint);
      answer.ip = ipContext({
        srcIpAddrs: ["10.0.0.1/24", "10.0.0.2/24", "fd00::1/64"],
        dstIpAddrs: ["10.0.0.9/24", "fd00::9/64"],
        srcRoutes: [
          { prefix: "192.168.0.0/16", nextHop: "" },
          { prefix: "0.0.0.0/0", nextHop: "10.0.0.77" },
          { prefix: "2001:db8::/32", nextHop: "" },
        ],
        dstRoutes: [],
        ipNeighbors: [{ ip: "10.0.0.77", hardwareAddress: "02:00:00:00:00:77" }],
      });
      await sendRequest();
      const first = await interfaceState(client, "nsm-1");
      expect(first.routes).toEqual(
        expect.arrayContaining([
          "192.168.0.0/16 via 10.0.0.9 universe onlink",
          "0.0.0.0/0 via 10.0.0.77 universe onlink",
          "2001:db8::/32 via fd00::9 universe onlink",
        ]),
      );

      // The first address goes, and the kernel would take the second of its network along.
      answer.ip = ipContext({
        srcIpAddrs: ["10.0.0.2/24", "fd00::2/64"],
        dstIpAddrs: ["10.0.0.9/24", "fd00::9/64"],
        srcRoutes: [{ prefix: "192.168.0.0/16", nextHop: "" }],
        dstRoutes: [],
      });
      answer.mtu = 1400;
      await refresh();
      const second = await interfaceState(client, "nsm-1");
      expect(second).toMatchObject({ index: first.index, mtu: 1400 });
      expect(second.addresses.sort()).toEqual(["10.0.0.2/24", "fd00::2/64"]);
      expect(second.routes.sort()).toEqual([
        "10.0.0.0/24 link",
        "192.168.0.0/16 via 10.0.0.9 universe onlink",
        "fd00::/64 universe",
      ]);
      expect((await netlinkIn(client).neighbors("nsm-1")).map(({ address }) => address)).not.toContain(
        "10.0.0.77",
      );
      expect(await reaches(client, "10.0.0.9", "10.0.0.2")).toBe(true);
      expect(await reaches(client, "fd00::9", "fd00::2")).toBe(true);
    }));

  test("loses the addresses and routes of an earlier endpoint when another one gives it its own", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, refresh, answer, close } = forwarder(client, endpoint);
      answer.ip = await addressed("10.0.0.0/24");
      await sendRequest();
      expect(await interfaceState(client, "nsm-1")).toMatchObject({ addresses: ["10.0.0.1/32"] });
      answer.ip = await addressed("10.9.0.0/24", answer.ip);
      await refresh();
      expect(await interfaceState(client, "nsm-1")).toMatchObject({
        addresses: ["10.9.0.1/32"],
        routes: [expect.stringMatching(/^10\.9\.0\.0\/32 /)],
      });
      expect(await interfaceState(endpoint, "fw-1")).toMatchObject({
        addresses: ["10.9.0.0/32"],
        routes: [expect.stringMatching(/^10\.9\.0\.1\/32 /)],
      });
      expect(await reaches(client, "10.9.0.0", "10.9.0.1")).toBe(true);
      await close();
    }));

  test("needs no ARP where the payload is IP", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, answer } = forwarder(client, endpoint);
      answer.payload = Payload.Ip;
      answer.ip = ipContext(dualStack);
      await sendRequest();
      const neighbors = (await netlinkIn(client).neighbors("nsm-1")).filter(
        ({ state }) => state === "permanent",
      );
      expect(neighbors.map(({ address }) => address).sort()).toEqual(["10.0.0.0", "fd00::"]);
      expect(neighbors[0]!.mac).toBe((await netlinkIn(endpoint).link("fw-1")).mac);
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
    }));

  test("leads to another endpoint after a refresh that names one", () =>
    withNamespaces(3, async ([client, endpoint, other]) => {
      const { sendRequest, refresh, answer, close } = forwarder(client, endpoint);
      await sendRequest();
      answer.mechanism = kernelMechanism(other.path, "fw-2");
      answer.ip = ipContext({}, 1);
      await refresh();
      expect([await linksOf(endpoint), await linksOf(other)]).toEqual([[], ["fw-2"]]);
      expect(await reaches(client, "10.0.1.0", "10.0.1.1")).toBe(true);
      await close();
      expect([await linksOf(client), await linksOf(other)]).toEqual([[], []]);
    }));
});

describe("many wires of cross-connect", () => {
  test("stop at an exhausted pool without harm to those that stand", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { sendRequest, answer, close, leftovers } = forwarder(client, endpoint);
      const first = await sendRequest();
      answer.onRequest = () => {
        throw new NsmError(Code.ResourceExhausted, "no pair of addresses left");
      };
      await expect(
        sendRequest({ id: "second", mechanism: kernelMechanism(client.path, "nsm-2") }),
      ).rejects.toMatchObject({
        code: Code.ResourceExhausted,
      });
      expect(await linksOf(client)).toEqual(["nsm-1"]);
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await close(first);
      expect([await linksOf(client), leftovers()]).toEqual([[], {}]);
    }));

  test("a hundred close while the event loop goes on", () =>
    withNamespaces(3, async ([one, two, endpoint]) => {
      const { sendRequest, answer, close, leftovers, debugState } = forwarder(one, endpoint);
      const connections = [];
      for (let i = 0; i < 100; i++) {
        answer.mechanism = kernelMechanism(endpoint.path, `fw-${i}`);
        answer.ip = ipContext({}, i);
        const client = i % 2 === 0 ? one : two;
        connections.push(
          await sendRequest({ id: `id-${i}`, mechanism: kernelMechanism(client.path, `nsm-${i}`) }),
        );
      }
      expect(debugState()["cross-connect"]).toEqual({ vWires: 100 });

      let [turns, open] = [0, true];
      const count = (): void => {
        turns++;
        if (open) setImmediate(count);
      };
      count();
      await Promise.all(connections.map((connection) => close(connection)));
      open = false;
      expect(turns).toBeGreaterThan(10);
      expect([await linksOf(one), await linksOf(two), await linksOf(endpoint), leftovers()]).toEqual([
        [],
        [],
        [],
        {},
      ]);
    }));
});
