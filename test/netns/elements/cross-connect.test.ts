import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { patchIpContext, Payload, type IPContext } from "../../../src/api/index.js";
import { Code, NsmError } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { linuxKernel } from "../../../src/elements/cross-connect/index.js";
import { pointToPointIpam } from "../../../src/elements/ipam/point-to-point/index.js";
import {
  connectIn,
  createVeth,
  listenIn,
  netlinkIn,
  newNamespace,
  ping,
  readSysctl,
  type NetworkNamespace,
} from "../../../src/linux/index.js";
import { run, sampleRequest, TOKEN_LIFETIME_MS, virtualClock } from "../../../src/testing/index.js";
import { withNamespaces } from "../../../src/testing/netns/index.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  forwarder as forwarderBetween,
  ipContext,
  kernelMechanism,
} from "../../elements/support/forwarder.js";
import { mortalKernel } from "../../elements/support/mortal-kernel.js";
import { runChild } from "../linux/child.js";

type Options = Partial<Parameters<typeof forwarderBetween>[0]>;

/** A forwarder between two namespaces that this process holds. */
function forwarder(client: NetworkNamespace, endpoint: NetworkNamespace, options: Options = {}) {
  return forwarderBetween({ client: client.path, endpoint: endpoint.path, ...options });
}

const dualStack: Partial<IPContext> = {
  srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"],
  dstIpAddrs: ["10.0.0.0/32", "fd00::/128"],
  srcRoutes: [
    { prefix: "10.0.0.0/32", nextHop: "" },
    { prefix: "fd00::/128", nextHop: "" },
  ],
  dstRoutes: [
    { prefix: "10.0.0.1/32", nextHop: "" },
    { prefix: "fd00::1/128", nextHop: "" },
  ],
};

/** What an endpoint with that prefix makes of the context a connection brings. */
async function addressed(prefix: string, brought = ipContext({})): Promise<IPContext> {
  const { clock, send } = run([connectionState(), pointToPointIpam({ prefixes: [prefix] })]);
  const sample = sampleRequest(clock.now());
  const connection = patchIpContext(sample.connection!, () => brought);
  return (await send({ ...sample, connection })).context!.ipContext!;
}

/** A process that stands in a namespace, one of its own unless given: gone with it. */
async function standIn(home?: NetworkNamespace) {
  const namespace = home ?? newNamespace();
  const child = namespace.run(() => spawn("sleep", ["600"], { stdio: "ignore" }));
  await once(child, "spawn");
  if (!home) namespace.close();
  const exit = once(child, "exit");
  return {
    path: `/proc/${child.pid}/ns/net`,
    async kill(): Promise<void> {
      child.kill("SIGKILL");
      await exit;
    },
  };
}

const linksOf = async (namespace: NetworkNamespace) =>
  (await netlinkIn(namespace).links()).map(({ name }) => name).filter((name) => name !== "lo");

/** What is set on an interface, in comparable form; the kernel's own link-local things left out. */
async function shown(namespace: NetworkNamespace, name: string) {
  const netlink = netlinkIn(namespace);
  const { index, mtu, up, alias } = await netlink.link(name);
  const addresses = (await netlink.addresses(index)).filter(({ scope }) => scope === "universe");
  const routes = (await netlink.routes({ link: index })).filter(
    ({ destination }) => !destination.startsWith("fe80"),
  );
  return {
    index,
    mtu,
    up,
    alias,
    addresses: addresses.map(({ address, tentative }) => `${address}${tentative ? " tentative" : ""}`),
    routes: routes.map(({ destination, gateway, scope, onlink }) =>
      [destination, gateway && `via ${gateway}`, scope, onlink && "onlink"].filter(Boolean).join(" "),
    ),
  };
}

const reaches = async (namespace: NetworkNamespace, to: string, from?: string): Promise<boolean> =>
  (await ping({ namespace, to, count: 1, ...(from !== undefined && { from }) })).received === 1;

describe("a wire of cross-connect in the kernel", () => {
  test("carries packets of both IP versions in both directions, and is gone after Close", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, answer, close, leftovers } = forwarder(client, endpoint);
      answer.ip = ipContext(dualStack);
      await ask();
      expect(await shown(client, "nsm-1")).toMatchObject({
        mtu: 9000,
        up: true,
        alias: expect.stringMatching(/^server-/),
        addresses: ["10.0.0.1/32", "fd00::1/128"],
        routes: expect.arrayContaining(["10.0.0.0/32 universe", "fd00::/128 universe"]),
      });
      expect(await shown(endpoint, "fw-1")).toMatchObject({
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

  test("joins interfaces of one namespace as well", () =>
    withNamespaces(1, async ([lab]) => {
      const { ask, close } = forwarder(lab, lab);
      await ask();
      expect(await linksOf(lab)).toEqual(expect.arrayContaining(["nsm-1", "fw-1"]));
      await close();
      expect(await linksOf(lab)).toEqual([]);
    }));

  test("carries a connection on through refreshes, its interfaces untouched", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, refresh, answer } = forwarder(client, endpoint);
      answer.ip = ipContext(dualStack);
      await ask();
      const server = await listenIn(endpoint, { host: "10.0.0.0", port: 0 }, (socket) => socket.pipe(socket));
      const { port } = server.address() as { port: number };
      const socket = await connectIn({ namespace: client, host: "10.0.0.0", port });
      const before = [await shown(client, "nsm-1"), await shown(endpoint, "fw-1")];
      const learnt = await netlinkIn(client).neighbors("nsm-1");

      for (const word of ["one", "two", "three"]) {
        await refresh();
        socket.write(word);
        const [echo] = (await once(socket, "data")) as [Buffer];
        expect(echo.toString()).toBe(word);
      }
      expect([await shown(client, "nsm-1"), await shown(endpoint, "fw-1")]).toEqual(before);
      // An interface that goes down for a moment forgets its neighbours.
      const known = (await netlinkIn(client).neighbors("nsm-1")).map(({ address }) => address);
      expect(known).toEqual(expect.arrayContaining(learnt.map(({ address }) => address)));
      expect(known).toContain("10.0.0.0");
      socket.destroy();
      server.close();
      await once(server, "close");
    }));

  test("follows the context: what is new is added, what is not wanted goes, the rest stays", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, refresh, answer } = forwarder(client, endpoint);
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
      await ask();
      const first = await shown(client, "nsm-1");
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
      const second = await shown(client, "nsm-1");
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
      const { ask, refresh, answer, close } = forwarder(client, endpoint);
      answer.ip = await addressed("10.0.0.0/24");
      await ask();
      expect(await shown(client, "nsm-1")).toMatchObject({ addresses: ["10.0.0.1/32"] });
      answer.ip = await addressed("10.9.0.0/24", answer.ip);
      await refresh();
      expect(await shown(client, "nsm-1")).toMatchObject({
        addresses: ["10.9.0.1/32"],
        routes: [expect.stringMatching(/^10\.9\.0\.0\/32 /)],
      });
      expect(await shown(endpoint, "fw-1")).toMatchObject({
        addresses: ["10.9.0.0/32"],
        routes: [expect.stringMatching(/^10\.9\.0\.1\/32 /)],
      });
      expect(await reaches(client, "10.9.0.0", "10.9.0.1")).toBe(true);
      await close();
    }));

  test("needs no ARP where the payload is IP", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, answer } = forwarder(client, endpoint);
      answer.payload = Payload.Ip;
      answer.ip = ipContext(dualStack);
      await ask();
      const neighbors = (await netlinkIn(client).neighbors("nsm-1")).filter(
        ({ state }) => state === "permanent",
      );
      expect(neighbors.map(({ address }) => address).sort()).toEqual(["10.0.0.0", "fd00::"]);
      expect(neighbors[0]!.mac).toBe((await netlinkIn(endpoint).link("fw-1")).mac);
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
    }));

  test("leads to another endpoint after a refresh that says so", () =>
    withNamespaces(3, async ([client, endpoint, other]) => {
      const { ask, refresh, answer, close } = forwarder(client, endpoint);
      await ask();
      answer.mechanism = kernelMechanism(other.path, "fw-2");
      answer.ip = ipContext({}, 1);
      await refresh();
      expect([await linksOf(endpoint), await linksOf(other)]).toEqual([[], ["fw-2"]]);
      expect(await reaches(client, "10.0.1.0", "10.0.1.1")).toBe(true);
      await close();
      expect([await linksOf(client), await linksOf(other)]).toEqual([[], []]);
    }));
});

describe("a wire of cross-connect that cannot be made", () => {
  test.each([
    ["the client's", "nsm-1"],
    ["the endpoint's", "fw-1"],
  ])("because %s name is taken leaves only what was there", (whose, name) =>
    withNamespaces(2, async ([client, endpoint]) => {
      const [spare, ofClient] = ["spare", whose === "the client's"];
      const at = ofClient ? client : endpoint;
      await createVeth({ a: { namespace: at, name }, b: { namespace: at, name: spare } });
      const { ask, leftovers } = forwarder(client, endpoint);
      await expect(ask()).rejects.toMatchObject({
        code: Code.AlreadyExists,
        message: expect.stringContaining(`"${name}"`),
      });
      expect((await linksOf(at)).sort()).toEqual([name, spare].sort());
      expect([await linksOf(ofClient ? endpoint : client), leftovers()]).toEqual([[], {}]);
    }),
  );

  test.each<[string, Partial<IPContext>, number | undefined]>([
    ["an address of no use", { srcIpAddrs: ["10.0.0.1/32", "ff02::1/128"] }, undefined],
    [
      "a neighbour with a bad MAC",
      { ipNeighbors: [{ ip: "10.0.0.9", hardwareAddress: "02:00" }] },
      undefined,
    ],
    ["an MTU too small for IPv6", dualStack, 600],
  ])("because of %s leaves nothing", (_what, patch, mtu) =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, answer, downstream, leftovers } = forwarder(client, endpoint);
      answer.ip = ipContext(patch);
      answer.mtu = mtu;
      await expect(ask()).rejects.toMatchObject({ code: expect.any(Number) });
      expect([await linksOf(client), await linksOf(endpoint), leftovers()]).toEqual([[], [], {}]);
      expect(downstream.calls).toEqual(["request", "close"]);
    }),
  );

  test.each([
    "/proc/self/ns/mnt",
    `/proc/${process.pid}/ns/mnt`,
    "/dev/null",
    "/tmp",
    "/proc/4194305/ns/net",
  ])("because %s is no network namespace of a client", (path) =>
    withNamespaces(1, async ([endpoint]) => {
      const { ask, downstream } = forwarderBetween({ client: path, endpoint: endpoint.path });
      await expect(ask()).rejects.toMatchObject({ message: expect.stringContaining(path) });
      expect(downstream.calls).toEqual([]);
    }),
  );

  test("because the client's process ended meanwhile", () =>
    withNamespaces(1, async ([endpoint]) => {
      const client = await standIn();
      const { ask, answer, downstream, leftovers } = forwarderBetween({
        client: client.path,
        endpoint: endpoint.path,
      });
      answer.asked = client.kill;
      await expect(ask()).rejects.toMatchObject({
        code: Code.NotFound,
        message: expect.stringContaining(client.path),
      });
      expect([await linksOf(endpoint), leftovers(), downstream.calls]).toEqual([
        [],
        {},
        ["request", "close"],
      ]);
    }));

  test("because this process may not enter the client's namespace says what it lacks", () =>
    withNamespaces(1, async ([client]) => {
      const { status, stdout } = await runChild("../../elements/children/cross-connect-without-privilege", {
        prefix: ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
        inherit: client.fd,
      });
      expect({ status, stdout }).toEqual({
        status: 0,
        stdout: expect.stringMatching(/^PermissionDenied: .*lacks CAP_SYS_ADMIN.* \{\}$/m),
      });
    }));
});

describe("a wire of cross-connect, its surroundings gone", () => {
  test("goes with the client's namespace, and Close finds nothing to do", () =>
    withNamespaces(1, async ([endpoint]) => {
      const client = await standIn();
      const { ask, refresh, close, leftovers, debugState } = forwarderBetween({
        client: client.path,
        endpoint: endpoint.path,
      });
      await ask();
      expect(await linksOf(endpoint)).toEqual(["fw-1"]);
      await client.kill();
      await expect.poll(() => linksOf(endpoint)).toEqual([]);
      await expect(refresh()).rejects.toMatchObject({ code: Code.NotFound });
      expect(debugState()["cross-connect"]).toEqual({ vWires: 1 });
      await close();
      expect(leftovers()).toEqual({});
    }));

  test("is replaced when its endpoint died with its namespace and came again", () =>
    withNamespaces(1, async ([client]) => {
      const [first, second] = [await standIn(), await standIn()];
      const { ask, refresh, answer, close } = forwarderBetween({
        client: client.path,
        endpoint: first.path,
      });
      await ask();
      await first.kill();
      await expect.poll(() => linksOf(client)).toEqual([]);
      await expect(refresh()).rejects.toMatchObject({ code: Code.NotFound });
      answer.mechanism = kernelMechanism(second.path, "fw-1");
      await refresh();
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await close();
      expect(await linksOf(client)).toEqual([]);
      await second.kill();
    }));

  test("is found by other processes of the same namespaces when those that named them have ended", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const [a, b] = [await standIn(client), await standIn(endpoint)];
      const [stayA, stayB] = [await standIn(client), await standIn(endpoint)];
      const { ask, close, leftovers } = forwarderBetween({ client: a.path, endpoint: b.path });
      await ask();
      await Promise.all([a.kill(), b.kill()]);
      await close();
      expect([await linksOf(client), await linksOf(endpoint), leftovers()]).toEqual([[], [], {}]);
      await Promise.all([stayA.kill(), stayB.kill()]);
    }));

  test("is closed although somebody deleted it", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, close, leftovers } = forwarder(client, endpoint);
      await ask();
      await netlinkIn(client).deleteLink("nsm-1");
      await close();
      expect(leftovers()).toEqual({});
    }));
});

describe("many wires of cross-connect", () => {
  test("stop at an exhausted pool without harm to those that stand", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const { ask, answer, close, leftovers } = forwarder(client, endpoint);
      const first = await ask();
      answer.asked = () => {
        throw new NsmError(Code.ResourceExhausted, "no pair of addresses left");
      };
      await expect(
        ask({ id: "second", mechanism: kernelMechanism(client.path, "nsm-2") }),
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
      const { ask, answer, close, leftovers, debugState } = forwarder(one, endpoint);
      const connections = [];
      for (let i = 0; i < 100; i++) {
        answer.mechanism = kernelMechanism(endpoint.path, `fw-${i}`);
        answer.ip = ipContext({}, i);
        const client = i % 2 === 0 ? one : two;
        connections.push(await ask({ id: `id-${i}`, mechanism: kernelMechanism(client.path, `nsm-${i}`) }));
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

describe("a forwarder after another one, in the kernel", () => {
  let stateDir: string;
  beforeEach(() => void (stateDir = mkdtempSync(join(tmpdir(), "nsm-state-"))));
  afterEach(() => rmSync(stateDir, { recursive: true }));

  test("adopts the link of a refreshed connection unchanged, and removes the unclaimed one when it expires", () =>
    withNamespaces(3, async ([client, other, endpoint]) => {
      const clock = virtualClock();
      const first = forwarder(client, endpoint, { clock, stateDir });
      const kept = await first.ask();
      first.answer.mechanism = kernelMechanism(endpoint.path, "fw-2");
      first.answer.ip = ipContext({}, 1);
      await first.ask({ id: "unclaimed", mechanism: kernelMechanism(other.path, "nsm-1") });
      first.program.abort();
      const before = [await shown(client, "nsm-1"), await shown(endpoint, "fw-1")];

      const second = forwarder(client, endpoint, { clock, stateDir });
      await clock.advance(TOKEN_LIFETIME_MS / 2);
      const fresh = sampleRequest(clock.now()).connection!.path!.pathSegments[0]!;
      const path = { ...kept.path!, pathSegments: [fresh, ...kept.path!.pathSegments.slice(1)] };
      await second.send({ ...sampleRequest(clock.now()), connection: { ...kept, path } });
      expect(second.debugState()["cross-connect"]).toEqual({ vWires: 1, journal: 2, timers: 1 });
      expect([await shown(client, "nsm-1"), await shown(endpoint, "fw-1")]).toEqual(before);

      await clock.advance(TOKEN_LIFETIME_MS / 2);
      await expect.poll(() => linksOf(other)).toEqual([]);
      expect([await shown(client, "nsm-1"), await shown(endpoint, "fw-1")]).toEqual(before);
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await second.close();
      await expect.poll(() => second.leftovers()).toEqual({});
      expect([await linksOf(client), await linksOf(endpoint), readdirSync(stateDir)]).toEqual([[], [], []]);
    }));

  test.each([
    ["setting up", (first: ReturnType<typeof forwarder>) => first.ask()],
    [
      "setting up and closing",
      (first: ReturnType<typeof forwarder>) => first.ask().then(() => first.close()),
    ],
  ])("whose predecessor was killed at any step of %s, leaves nothing in the end", (_what, work) =>
    withNamespaces(2, async ([client, endpoint]) => {
      for (let steps = 0, done = false; !done; steps++) {
        const clock = virtualClock();
        const mortal = mortalKernel(linuxKernel(), steps);
        const first = forwarder(client, endpoint, { clock, stateDir, kernel: mortal.kernel });
        first.answer.payload = Payload.Ip;
        done = await Promise.race([work(first).then(() => true), mortal.death.then(() => false)]);
        first.program.abort();

        const abandoned = clock.timers;
        const second = forwarder(client, endpoint, { clock, stateDir });
        if (steps % 2 === 0) {
          await clock.advance(TOKEN_LIFETIME_MS);
        } else {
          await second.ask();
          expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
          await second.close();
        }
        // The clock is shared with the process that was killed, whose timers only end with their time.
        const left = expect.poll(() => ({ timers: 0, ...second.leftovers() }));
        await left.toEqual({ timers: clock.timers > 0 ? abandoned : 0 });
        expect([await linksOf(client), await linksOf(endpoint), readdirSync(stateDir)]).toEqual([[], [], []]);
      }
    }),
  );

  test("makes a wire again of which only the interfaces had been made", () =>
    withNamespaces(2, async ([client, endpoint]) => {
      const first = forwarder(client, endpoint);
      await first.ask();
      const [a, b] = [await netlinkIn(client).link("nsm-1"), await netlinkIn(endpoint).link("fw-1")];
      await first.close();
      // As the kernel has it between the request for the pair and those for the aliases.
      await createVeth({
        a: { namespace: client, name: "nsm-1", mac: a.mac! },
        b: { namespace: endpoint, name: "fw-1", mac: b.mac! },
      });
      const second = forwarder(client, endpoint);
      await second.ask();
      expect(await reaches(client, "10.0.0.0", "10.0.0.1")).toBe(true);
      await second.close();
      expect([await linksOf(client), await linksOf(endpoint)]).toEqual([[], []]);
    }));
});
