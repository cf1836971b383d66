import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ConnectionContext,
  Mechanism,
  patchConnection,
  Payload,
  toTimestamp,
  type Connection,
} from "../../src/api/index.js";
import { Code, peer, type Logger, type NetworkServiceElement } from "../../src/core/index.js";
import { crossConnect } from "../../src/elements/cross-connect/index.js";
import { endpointMechanism } from "../../src/elements/mechanism-translation/index.js";
import {
  describeElement,
  failOnce,
  sampleRequest,
  TOKEN_LIFETIME_MS,
  virtualClock,
  type VirtualClock,
} from "../../src/testing/index.js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeKernel } from "./support/fake-kernel.js";
import { mortalKernel } from "./support/mortal-kernel.js";
import {
  forwarder as realForwarder,
  ipContext,
  kernelMechanism,
  type Answer,
  type ForwarderOptions,
} from "./support/forwarder.js";

const CLIENT = "/proc/100/ns/net";
const ENDPOINT = "/proc/200/ns/net";
const ID = "8c5d6c2e-6b0a-4a43-9a0d-3f0f4f5f0001";

/** A forwarder in a kernel of its own, or in one that others have worked on. */
function forwarder({
  kernel = new FakeKernel(CLIENT, ENDPOINT),
  ...options
}: Partial<Omit<ForwarderOptions, "kernel">> & { kernel?: FakeKernel } = {}) {
  const clock = options.clock ?? virtualClock();
  return {
    ...realForwarder({ client: CLIENT, endpoint: ENDPOINT, ...options, clock, kernel }),
    kernel,
    clock,
  };
}

// The suite's connections live side by side, so their interfaces need names of their own.
const shortOf = (connection: Connection | undefined): string => connection!.id.slice(0, 3);
const kernel = new FakeKernel(CLIENT, ENDPOINT);
const endpointSide: NetworkServiceElement = {
  name: "endpoint",
  request(ctx, request, next) {
    endpointMechanism.set(ctx, kernelMechanism(ENDPOINT, `fw-${shortOf(request.connection)}`));
    return next.request(ctx, request);
  },
};
describeElement("cross-connect", ({ clock, until }) => crossConnect({ kernel, clock, until }), {
  ctx: (ctx) => ctx.with(peer, { address: "unix", local: true }),
  behind: [endpointSide],
  request: (sample) =>
    patchConnection(sample, { mechanism: kernelMechanism(CLIENT, `nsm-${shortOf(sample.connection)}`) }),
});

describe("the wire of cross-connect", () => {
  test("joins client and endpoint, each with its name, alias, addresses, routes and MTU", async () => {
    const { ask, kernel, leftovers, close } = forwarder();
    const connection = await ask();

    expect(connection.context?.MTU).toBe(9000);
    expect(kernel.show(CLIENT)).toEqual([
      {
        name: "nsm-1",
        alias: `server-${ID}`,
        mtu: 9000,
        up: true,
        addresses: ["10.0.0.1/32"],
        routes: ["10.0.0.0/32 universe"],
        neighbors: [],
      },
    ]);
    expect(kernel.show(ENDPOINT)).toEqual([
      {
        name: "fw-1",
        alias: `client-${ID}`,
        mtu: 9000,
        up: true,
        addresses: ["10.0.0.0/32"],
        routes: ["10.0.0.1/32 universe"],
        neighbors: [],
      },
    ]);
    expect(leftovers()["cross-connect"]).toEqual({ vWires: 1 });
    expect(kernel.opened).toBe(0);
    // What the kernel gave the interfaces is left to them.
    expect(kernel.operations.filter((it) => it.startsWith("remove"))).toEqual([]);

    await close();
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);
    expect(leftovers()).toEqual({});
  });

  test("gets the MTU that the endpoint's side lowered, also when that changes later", async () => {
    const { ask, refresh, answer, kernel } = forwarder();
    answer.mtu = 1446;
    await ask();
    expect([kernel.show(CLIENT)[0]!.mtu, kernel.show(ENDPOINT)[0]!.mtu]).toEqual([1446, 1446]);
    answer.mtu = 1400;
    await refresh();
    expect([kernel.show(CLIENT)[0]!.mtu, kernel.show(ENDPOINT)[0]!.mtu]).toEqual([1400, 1400]);
  });

  test("is not made when the context has routing policies, since they could not be applied", async () => {
    const { ask, answer, kernel, leftovers } = forwarder();
    const policy = { from: "10.0.0.1/32", proto: "6", dstPort: "80", srcPort: "", routes: [] };
    answer.ip = { ...answer.ip!, policies: [policy] };
    await expect(ask()).rejects.toMatchObject({
      code: Code.Unimplemented,
      message: expect.stringContaining("1 routing policies"),
    });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], {}]);
  });

  test("keeps an MTU that the client asked for", async () => {
    const { ask, kernel } = forwarder();
    await ask({ context: { ...ConnectionContext.create(), MTU: 1500 } });
    expect(kernel.show(CLIENT)[0]!.mtu).toBe(1500);
  });

  test("reaches what lies behind the endpoint by way of its address", async () => {
    const { ask, answer, kernel } = forwarder();
    answer.ip = ipContext({ srcRoutes: [{ prefix: "192.168.7.9/16", nextHop: "" }] });
    await ask();
    expect(kernel.show(CLIENT)[0]!.routes).toEqual([
      "10.0.0.0/32 link",
      "192.168.0.0/16 via 10.0.0.0 universe",
    ]);
  });

  test("knows the far end's addresses where no ethernet asks for them", async () => {
    const { ask, answer, kernel } = forwarder();
    answer.payload = Payload.Ip;
    await ask();
    const [client, endpoint] = [kernel.show(CLIENT)[0]!.neighbors, kernel.show(ENDPOINT)[0]!.neighbors];
    expect(client).toEqual([expect.stringMatching(/^10\.0\.0\.0 (..:){5}.. permanent$/)]);
    expect(endpoint).toEqual([expect.stringMatching(/^10\.0\.0\.1 (..:){5}.. permanent$/)]);
  });

  test("is given the neighbours of the context", async () => {
    const { ask, refresh, answer, kernel } = forwarder();
    answer.ip = ipContext({ ipNeighbors: [{ ip: "10.0.0.9", hardwareAddress: "02:AA:00:00:00:01" }] });
    await ask();
    expect(kernel.show(CLIENT)[0]!.neighbors).toEqual(["10.0.0.9 02:aa:00:00:00:01 reachable"]);
    answer.ip = ipContext();
    await refresh();
    expect(kernel.show(CLIENT)[0]!.neighbors).toEqual([]);
  });

  test("is not touched by a refresh that changes nothing", async () => {
    const { ask, refresh, answer, kernel } = forwarder();
    answer.payload = Payload.Ip;
    await ask();
    const [done, index] = [kernel.operations.length, kernel.indexOf(CLIENT, "nsm-1")];
    await refresh();
    expect(kernel.operations.slice(done)).toEqual([]);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
  });

  test("changes only in what a refresh changes", async () => {
    const { ask, refresh, answer, kernel } = forwarder();
    answer.ip = ipContext({ srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"] });
    await ask();
    const [done, index] = [kernel.operations.length, kernel.indexOf(CLIENT, "nsm-1")];
    answer.ip = ipContext({
      srcIpAddrs: ["fd00:0::0001/128", "10.0.0.3/32"],
      dstRoutes: [{ prefix: "10.0.0.3/32", nextHop: "" }],
    });
    await refresh();
    expect(kernel.operations.slice(done)).toEqual([
      "addAddress 10.0.0.3/32",
      "removeAddress 10.0.0.1/32",
      "deleteRoute 10.0.0.1/32",
      "replaceRoute 10.0.0.3/32",
    ]);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
  });

  test("is replaced when the endpoint's end is another one", async () => {
    const { ask, refresh, answer, kernel, close, leftovers } = forwarder();
    await ask();
    kernel.add("/proc/300/ns/net");
    answer.mechanism = kernelMechanism("/proc/300/ns/net", "fw-2");
    await refresh();
    expect(kernel.show(ENDPOINT)).toEqual([]);
    expect(kernel.show("/proc/300/ns/net")).toMatchObject([{ name: "fw-2", addresses: ["10.0.0.0/32"] }]);
    expect(kernel.show(CLIENT)).toMatchObject([{ name: "nsm-1", addresses: ["10.0.0.1/32"] }]);
    await close();
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["under another name", CLIENT, "other"],
    ["in another namespace", "/proc/101/ns/net", "nsm-1"],
  ])("is replaced when the client wants it %s", async (_how, path, name) => {
    const kernel = new FakeKernel(CLIENT, ENDPOINT, "/proc/101/ns/net");
    const { ask, refresh, close, leftovers } = forwarder({ kernel });
    await ask();
    await refresh({ mechanism: kernelMechanism(path, name) });
    const clients = [...kernel.show(CLIENT), ...kernel.show("/proc/101/ns/net")];
    expect(clients).toMatchObject([{ name, addresses: ["10.0.0.1/32"] }]);
    expect(kernel.show(ENDPOINT)).toHaveLength(1);
    await close();
    expect([kernel.show(path), leftovers()]).toEqual([[], {}]);
  });

  test("is brought up again when somebody took it down", async () => {
    const { ask, refresh, kernel } = forwarder();
    await ask();
    kernel.change(CLIENT, "nsm-1", { up: false });
    await refresh();
    expect(kernel.show(CLIENT)).toMatchObject([{ up: true }]);
  });

  test("is made again when its ends lead elsewhere", async () => {
    const { ask, refresh, kernel } = forwarder();
    await ask();
    const [client, endpoint] = [kernel.show(CLIENT)[0]!, kernel.show(ENDPOINT)[0]!];
    await kernel.open(CLIENT).deleteLink("nsm-1");
    kernel.add("/proc/300/ns/net");
    const end = (path: string, { name, alias }: { name: string; alias: string | undefined }) => ({
      namespace: kernel.open(path),
      name,
      alias: alias ?? "",
      mac: "02:00:00:00:00:01",
    });
    await kernel.createVeth(end(CLIENT, client), end("/proc/300/ns/net", { name: "x", alias: "x" }));
    await kernel.createVeth(end("/proc/300/ns/net", { name: "y", alias: "y" }), end(ENDPOINT, endpoint));
    await refresh();
    expect(kernel.show("/proc/300/ns/net")).toEqual([]);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[client], [endpoint]]);
  });

  test("is made again when somebody deleted it", async () => {
    const { ask, refresh, kernel } = forwarder();
    await ask();
    const link = await kernel.open(CLIENT).link("nsm-1");
    await kernel.open(CLIENT).deleteLink(link.index);
    await refresh();
    expect(kernel.show(CLIENT)).toMatchObject([{ name: "nsm-1", addresses: ["10.0.0.1/32"] }]);
  });

  test("is let alone when the mechanism is another one", async () => {
    const { ask, kernel, downstream } = forwarder();
    await ask({ mechanism: Mechanism.create({ cls: "LOCAL", type: "MEMIF" }) });
    expect([downstream.calls, kernel.operations]).toEqual([["request"], []]);
  });

  test("may pass the same namespace twice on one road", async () => {
    const { ask, answer, kernel, close, leftovers } = forwarder();
    const first = await ask();
    // A pass-through endpoint in the client's own namespace asks the same forwarder for the rest of the road.
    const segments = first.path!.pathSegments;
    const through = { ...segments[0]!, name: "through", id: "through-id" };
    answer.mechanism = kernelMechanism(ENDPOINT, "fw-2");
    const second = await ask({
      id: "through-id",
      path: { index: 2, pathSegments: [...segments, through] },
      mechanism: kernelMechanism(CLIENT, "nsm-2"),
    });
    expect(kernel.show(CLIENT)).toMatchObject([
      { name: "nsm-1", alias: `server-${ID}` },
      { name: "nsm-2", alias: `server-${ID}-1` },
    ]);
    await close(second);
    expect(kernel.show(CLIENT)).toMatchObject([{ name: "nsm-1" }]);
    await close(first);
    expect(leftovers()).toEqual({});
  });
});

describe("what cross-connect refuses before anybody else is asked", () => {
  const { Unimplemented, InvalidArgument, NotFound } = Code;
  test.each([
    ["file:///proc/self/ns/net", "nsm-1", InvalidArgument, /would be that of the forwarder/],
    [
      "file:///proc/thread-self/ns/net",
      "nsm-1",
      InvalidArgument,
      /thread-self.*would be that of the forwarder/,
    ],
    ["file:///proc//1/../self/ns/net", "nsm-1", InvalidArgument, /would be that of the forwarder/],
    ["inode://4/4026532233", "nsm-1", Unimplemented, /inode:\/\/4\/4026532233.*descriptor/],
    ["", "nsm-1", InvalidArgument, /the client names no network namespace/],
    ["file://host/proc/1/ns/net", "nsm-1", InvalidArgument, /file:\/\/host/],
    ["file:///proc/1%00/ns/net", "nsm-1", InvalidArgument, /is no path/],
    ["proc/1/ns/net", "nsm-1", InvalidArgument, /proc\/1\/ns\/net/],
    ["http://example.com/", "nsm-1", InvalidArgument, /http:/],
    ["file:///proc/4711/ns/net", "nsm-1", NotFound, /\/proc\/4711\/ns\/net/],
    [`file://${CLIENT}`, "", InvalidArgument, /1 to 15 bytes/],
    [`file://${CLIENT}`, "sixteen-letters!", InvalidArgument, /sixteen-letters!.*16 bytes.*15/],
    [`file://${CLIENT}`, "a/b", InvalidArgument, /"a\/b"/],
    [`file://${CLIENT}`, "nsm-%d", InvalidArgument, /nsm-%d/],
  ])("%j as namespace with the interface %j", async (inodeURL, name, code, sentence) => {
    const { ask, downstream, leftovers, kernel } = forwarder();
    const mechanism = Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { inodeURL, name } });
    await expect(ask({ mechanism })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(sentence),
    });
    expect([downstream.calls, leftovers(), kernel.opened]).toEqual([[], {}, 0]);
  });

  test("takes the path of a namespace file as it is", async () => {
    const kernel = new FakeKernel("/run/netns/red", ENDPOINT);
    const { ask } = forwarder({ kernel });
    const mechanism = Mechanism.create({
      cls: "LOCAL",
      type: "KERNEL",
      parameters: { inodeURL: "/run/netns/red", name: "nsm-1" },
    });
    await ask({ mechanism });
    expect(kernel.show("/run/netns/red")).toHaveLength(1);
  });

  test("a namespace that a peer elsewhere names", async () => {
    const { ask, ctx, downstream, leftovers } = forwarder();
    const remote = ctx.with(peer, { address: "192.0.2.1:5000", local: false });
    await expect(ask({}, remote)).rejects.toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringMatching(/client.*\/proc\/100\/ns\/net.*unix socket or the loopback/),
    });
    expect([downstream.calls, leftovers()]).toEqual([[], {}]);
    // Of whom nothing is known, he may be anywhere.
    await expect(ask({}, ctx.with(peer, undefined))).rejects.toMatchObject({ code: Code.PermissionDenied });
    await ask({}, ctx.with(peer, { address: "unix", local: true }));
  });

  test("an interface name that somebody else has", async () => {
    const { ask, kernel, downstream, leftovers } = forwarder();
    kernel.addLink(CLIENT, "nsm-1");
    await expect(ask()).rejects.toMatchObject({
      code: Code.AlreadyExists,
      message: expect.stringMatching(/client wants an interface "nsm-1"/),
    });
    expect([downstream.calls, leftovers(), kernel.opened]).toEqual([[], {}, 0]);
  });
});

test("cross-connect leaves an interface alone that is none of its kind, whatever it is called", async () => {
  const { ask, kernel } = forwarder();
  kernel.addLink(CLIENT, "nsm-1");
  kernel.change(CLIENT, "nsm-1", { alias: `server-${ID}` });
  await expect(ask()).rejects.toMatchObject({ code: Code.AlreadyExists });
});

describe("what cross-connect refuses in the endpoint's answer", () => {
  test.each<[string, Partial<Answer>, Code, RegExp]>([
    [
      "a namespace that is gone",
      { mechanism: kernelMechanism("/proc/9/ns/net", "fw-1") },
      Code.NotFound,
      /proc\/9/,
    ],
    [
      "the forwarder's own",
      { mechanism: kernelMechanism("/proc/self/ns/net", "fw-1") },
      Code.InvalidArgument,
      /endpoint/,
    ],
    [
      "no namespace",
      { mechanism: kernelMechanism("", "fw-1") },
      Code.InvalidArgument,
      /the endpoint names no network/,
    ],
    ["no mechanism", { mechanism: undefined }, Code.Unimplemented, /no mechanism/],
    ["another mechanism", { mechanism: Mechanism.create({ type: "MEMIF" }) }, Code.Unimplemented, /MEMIF/],
    [
      "a long name",
      { mechanism: kernelMechanism(ENDPOINT, "sixteen-letters!") },
      Code.InvalidArgument,
      /16 bytes/,
    ],
    ["one from elsewhere", { url: "tcp://192.0.2.7:5000" }, Code.PermissionDenied, /endpoint.*loopback/],
    [
      "a broken address",
      { ip: ipContext({ srcIpAddrs: ["10.0.0.300/32"] }) },
      Code.InvalidArgument,
      /10\.0\.0\.300/,
    ],
    [
      "a broken route",
      { ip: ipContext({ dstRoutes: [{ prefix: "x", nextHop: "" }] }) },
      Code.InvalidArgument,
      /"x"/,
    ],
  ])("%s, and leaves nothing", async (_what, change, code, sentence) => {
    const { ask, answer, kernel, downstream, leftovers } = forwarder();
    Object.assign(answer, change);
    await expect(ask()).rejects.toMatchObject({ code, message: expect.stringMatching(sentence) });
    expect(downstream.calls).toEqual(["request", "close"]);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), kernel.opened]).toEqual([[], [], 0]);
    expect(leftovers()).toEqual({});
  });

  test.each([
    "unix:///run/nse.sock",
    "tcp://127.0.0.1:5000",
    "tcp://[::1]:5000",
    "localhost:5000",
    "dns:localhost:1",
  ])("but takes a namespace from an endpoint at %s", async (url) => {
    const { ask, answer } = forwarder();
    answer.url = url;
    await expect(ask()).resolves.toMatchObject({ id: expect.any(String) });
  });

  test("a name that is taken there", async () => {
    const { ask, kernel, downstream, leftovers } = forwarder();
    kernel.addLink(ENDPOINT, "fw-1");
    await expect(ask()).rejects.toMatchObject({
      code: Code.AlreadyExists,
      message: expect.stringMatching(/endpoint wants an interface "fw-1"/),
    });
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("anything, when the client has gone meanwhile", async () => {
    const { ask, answer, kernel, downstream, leftovers } = forwarder();
    answer.asked = () => kernel.destroy(CLIENT);
    await expect(ask()).rejects.toMatchObject({ code: Code.NotFound });
    expect([downstream.calls, kernel.show(ENDPOINT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("anything, when the caller gave up meanwhile", async () => {
    const { ask, answer, ctx, kernel, downstream, leftovers } = forwarder();
    const caller = new AbortController();
    answer.asked = () => caller.abort();
    await expect(ctx.withSignal(caller.signal, (c) => ask({}, c))).rejects.toThrow();
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });
});

describe("cross-connect, when the kernel refuses", () => {
  test.each(["createVeth", "addAddress", "replaceRoute", "replaceNeighbor", "enableIpv6", "addressesUsable"])(
    "%s, leaves nothing and closes what lies beyond",
    async (operation) => {
      const { ask, answer, kernel, downstream, leftovers } = forwarder();
      answer.payload = Payload.Ip;
      answer.ip = ipContext({ srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"] });
      kernel.failNext(operation, Code.ResourceExhausted);
      await expect(ask()).rejects.toMatchObject({ code: Code.ResourceExhausted });
      expect(downstream.calls).toEqual(["request", "close"]);
      expect([kernel.show(CLIENT), kernel.show(ENDPOINT), kernel.opened]).toEqual([[], [], 0]);
      expect(leftovers()).toEqual({});
      await ask();
    },
  );

  test.each(["allowPing", "enableIpv6"])("%s, goes without where that will do", async (operation) => {
    const { ask, kernel } = forwarder();
    kernel.failNext(operation, Code.PermissionDenied);
    await ask();
    expect(kernel.show(CLIENT)).toHaveLength(1);
  });

  test.each([
    "addAddress",
    "removeAddress",
    "replaceRoute",
    "replaceNeighbor",
    "setLink",
    // This is at the endpoint, after all is done at the client.
    "replaceRoute 10.0.0.5/32",
  ])("%s during a refresh, restores what was there and goes on", async (operation) => {
    const { ask, refresh, answer, kernel, downstream, close, leftovers } = forwarder();
    const before = answer.ip;
    await ask();
    const shown = [kernel.show(CLIENT), kernel.show(ENDPOINT), kernel.indexOf(CLIENT, "nsm-1")];
    answer.ip = ipContext({
      srcIpAddrs: ["10.0.0.5/32"],
      srcRoutes: [{ prefix: "10.9.0.0/16", nextHop: "" }],
      dstRoutes: [{ prefix: "10.0.0.5/32", nextHop: "" }],
      ipNeighbors: [{ ip: "10.0.0.9", hardwareAddress: "02:00:00:00:00:09" }],
    });
    answer.mtu = 1300;
    kernel.failNext(operation, Code.Unavailable);
    await expect(refresh()).rejects.toMatchObject({ code: Code.Unavailable });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), kernel.indexOf(CLIENT, "nsm-1")]).toEqual(shown);
    expect(downstream.calls).toEqual(["request", "request"]);

    answer.ip = before;
    await refresh();
    await close();
    expect(leftovers()).toEqual({});
  });

  test("a new wire in place of the old, is left without both and closes what lies beyond", async () => {
    const { ask, refresh, answer, kernel, downstream, close, leftovers } = forwarder();
    await ask();
    answer.mechanism = kernelMechanism(ENDPOINT, "fw-2");
    kernel.failNext("createVeth", Code.ResourceExhausted);
    await expect(refresh()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(downstream.calls).toEqual(["request", "request", "close"]);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);

    await refresh();
    expect(kernel.show(ENDPOINT)).toMatchObject([{ name: "fw-2" }]);
    await close();
    expect(leftovers()).toEqual({});
  });

  test("to delete, says so and tries again later", async () => {
    const { ask, close, kernel, clock, debugState, leftovers } = forwarder();
    await ask();
    kernel.failNext("deleteLink", Code.ResourceExhausted);
    await expect(close()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(debugState()).toEqual({ "cross-connect": { timers: 1 } });
    await clock.advance(60_000);
    expect([kernel.show(CLIENT), leftovers()]).toEqual([[], {}]);
  });
});

test("cross-connect does not try again later when there is no later", async () => {
  const { ask, close, kernel, clock, program } = forwarder();
  await ask();
  program.abort();
  kernel.failNext("deleteLink", Code.ResourceExhausted);
  await expect(close()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  expect(clock.timers).toBe(0);
});

describe("cross-connect closes", () => {
  test("although what lies beyond cannot be reached", async () => {
    const { ask, close, kernel, leftovers } = forwarder({ probes: [failOnce(Code.Unavailable, "close")] });
    await ask();
    await expect(close()).rejects.toMatchObject({ code: Code.Unavailable });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], {}]);
  });

  test("and says when neither side could be", async () => {
    const { ask, close, kernel } = forwarder({ probes: [failOnce(Code.Unavailable, "close")] });
    await ask();
    kernel.failNext("deleteLink", Code.ResourceExhausted);
    await expect(close()).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringMatching(/neither here nor beyond/),
    });
  });

  test.each([
    ["the client's namespace is gone", (kernel: FakeKernel) => kernel.destroy(CLIENT)],
    ["the endpoint's namespace is gone", (kernel: FakeKernel) => kernel.destroy(ENDPOINT)],
    [
      "both namespaces are gone",
      (kernel: FakeKernel) => {
        kernel.destroy(CLIENT);
        kernel.destroy(ENDPOINT);
      },
    ],
    [
      "the client's process is gone, not its namespace",
      (kernel: FakeKernel) => kernel.move(CLIENT, "/run/netns/c"),
    ],
    [
      "both processes are gone, not their namespaces",
      (kernel: FakeKernel) => {
        kernel.move(CLIENT, "/run/netns/c");
        kernel.move(ENDPOINT, "/run/netns/e");
      },
    ],
    [
      "other namespaces are where they were",
      (kernel: FakeKernel) => {
        kernel.move(CLIENT, "/run/netns/c");
        kernel.move(ENDPOINT, "/run/netns/e");
        kernel.add(CLIENT);
        kernel.add(ENDPOINT);
        kernel.addLink(CLIENT, "nsm-1");
      },
    ],
  ])("when %s", async (_what, happen) => {
    const { ask, close, kernel, leftovers } = forwarder();
    await ask();
    happen(kernel);
    await close();
    const gone = (path: string): boolean => {
      try {
        return kernel.show(path).every(({ alias }) => alias === undefined);
      } catch {
        return true;
      }
    };
    expect([CLIENT, ENDPOINT, "/run/netns/c", "/run/netns/e"].map(gone)).toEqual([true, true, true, true]);
    expect([leftovers(), kernel.opened]).toEqual([{}, 0]);
  });

  test("what a forwarder before it made, by the mark it bears", async () => {
    const kernel = new FakeKernel(CLIENT, ENDPOINT);
    const connection = await forwarder({ kernel }).ask();
    const { close, leftovers } = forwarder({ kernel });
    // Onward segments make begin() pass a Close on that it knows nothing of.
    const path = connection.path!;
    const beyond = { ...path.pathSegments[1]!, name: "nse", id: "nse-id" };
    await close({ ...connection, path: { ...path, pathSegments: [...path.pathSegments, beyond] } });
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], {}]);
  });

  test("only what is its own: a wire that another connection took over stays", async () => {
    const { ask, kernel, close, leftovers } = forwarder();
    const first = await ask();
    // The same client by another road: the first path segment is the same, the forwarder's is not.
    const segment = first.path!.pathSegments[0]!;
    const second = await ask({
      id: "other-hop",
      path: { index: 1, pathSegments: [segment, { ...segment, name: "nsmgr", id: "other-hop" }] },
    });
    const index = kernel.indexOf(CLIENT, "nsm-1");
    await close(first);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
    await close(second);
    expect([kernel.show(CLIENT), leftovers()]).toEqual([[], {}]);
  });

  test("nothing of a connection that stands, when it is asked to close another by the same client", async () => {
    const { ask, kernel, close, debugState } = forwarder();
    const connection = await ask();
    const path = connection.path!;
    const unknown = { ...path.pathSegments[1]!, id: "never-asked-for" };
    const beyond = { ...unknown, name: "nse", id: "nse-id" };
    await close({
      ...connection,
      id: unknown.id,
      path: { index: 1, pathSegments: [path.pathSegments[0]!, unknown, beyond] },
    });
    expect([kernel.show(CLIENT).length, debugState()["cross-connect"]]).toEqual([1, { vWires: 1 }]);
  });

  test("all wires at once for a forwarder that ends", async () => {
    const { ask, answer, kernel, wiring, debugState } = forwarder();
    await ask();
    answer.mechanism = kernelMechanism(ENDPOINT, "fw-2");
    await ask({ id: "two", mechanism: kernelMechanism(CLIENT, "nsm-2") });
    expect(debugState()["cross-connect"]).toEqual({ vWires: 2 });
    await wiring.removeVWires();
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), debugState()["cross-connect"]]).toEqual([
      [],
      [],
      undefined,
    ]);
  });
});

describe("a forwarder after another one", () => {
  let stateDir: string;
  beforeEach(() => void (stateDir = mkdtempSync(join(tmpdir(), "nsm-state-"))));
  afterEach(() => rmSync(stateDir, { recursive: true }));

  const logs = (): Logger & { lines: string[] } => {
    const lines: string[] = [];
    const say = (fields: object, message: string): void =>
      void lines.push(`${message} ${JSON.stringify(fields)}`);
    return { lines, debug() {}, info: say, warn: say, error: say };
  };

  /** A first forwarder that dies with its connection established. */
  async function died(kernel = new FakeKernel(CLIENT, ENDPOINT)) {
    const clock = virtualClock();
    const first = forwarder({ kernel, clock, stateDir });
    const connection = await first.ask();
    first.program.abort();
    return { kernel, clock, connection };
  }

  test("adopts the wire of a connection that is refreshed, unchanged", async () => {
    const { kernel, clock, connection } = await died();
    const [done, index] = [kernel.operations.length, kernel.indexOf(CLIENT, "nsm-1")];
    const { send, close, debugState, leftovers } = forwarder({ kernel, clock, stateDir });
    expect(debugState()).toEqual({ "cross-connect": { journal: 1, timers: 1 } });

    await send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.operations.slice(done).filter((it) => !/^(allowPing|enableIpv6)/.test(it))).toEqual([]);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
    expect(debugState()["cross-connect"]).toEqual({ vWires: 1, journal: 1 });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);

    await close();
    expect([kernel.show(CLIENT), readdirSync(stateDir), leftovers()]).toEqual([[], [], {}]);
  });

  test("adopts it without a journal as well", async () => {
    const { kernel, clock, connection } = await died();
    const index = kernel.indexOf(CLIENT, "nsm-1");
    const { send } = forwarder({ kernel, clock });
    await send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.indexOf(CLIENT, "nsm-1")).toBe(index);
  });

  test("takes away the routes that the other set and nobody wants any more", async () => {
    const kernel = new FakeKernel(CLIENT, ENDPOINT);
    const clock = virtualClock();
    const first = forwarder({ kernel, clock, stateDir });
    first.answer.ip = ipContext({ srcRoutes: [{ prefix: "10.9.0.0/16", nextHop: "" }] });
    const connection = await first.ask();
    first.program.abort();
    const second = forwarder({ kernel, clock, stateDir });
    await second.send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.show(CLIENT)[0]!.routes).toEqual(["10.0.0.0/32 universe"]);
  });

  test("removes what nobody asks for, when it expires", async () => {
    const { kernel, clock } = await died();
    const { leftovers } = forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS - 1);
    expect(kernel.show(CLIENT)).toHaveLength(1);
    await clock.advance(1);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);
    await expect.poll(leftovers).toEqual({});
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("removes what has expired already at its start", async () => {
    const { kernel, clock } = await died();
    await clock.advance(TOKEN_LIFETIME_MS);
    forwarder({ kernel, clock, stateDir });
    await clock.advance(0);
    expect(kernel.show(CLIENT)).toEqual([]);
  });

  test("removes it by another path when the processes are gone and their namespaces are not", async () => {
    const { kernel, clock } = await died();
    kernel.move(CLIENT, "/run/netns/c");
    kernel.move(ENDPOINT, "/run/netns/e");
    forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect([kernel.show("/run/netns/c"), kernel.show("/run/netns/e")]).toEqual([[], []]);
  });

  test("leaves what it does not know when it ends itself", async () => {
    const { kernel, clock } = await died();
    const { program } = forwarder({ kernel, clock, stateDir });
    program.abort();
    expect(clock.timers).toBe(0);
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.show(CLIENT)).toHaveLength(1);
  });

  test("removes what expires sooner sooner", async () => {
    const [kernel, clock] = [new FakeKernel(CLIENT, ENDPOINT), virtualClock()];
    const first = forwarder({ kernel, clock, stateDir });
    const [segment] = sampleRequest(clock.now()).connection!.path!.pathSegments;
    const expires = toTimestamp(clock.now() + 5_000);
    await first.ask({ path: { index: 0, pathSegments: [{ ...segment!, expires }] } });
    first.program.abort();
    forwarder({ kernel, clock, stateDir });
    await clock.advance(4_999);
    expect(kernel.show(CLIENT)).toHaveLength(1);
    await clock.advance(1);
    expect(kernel.show(CLIENT)).toEqual([]);
  });

  test("keeps a wire that expires while it is being adopted", async () => {
    const { kernel, clock, connection } = await died();
    const { send, answer, debugState } = forwarder({ kernel, clock, stateDir });
    answer.ip = ipContext({ srcIpAddrs: ["10.0.0.7/32"] });
    const release = kernel.holdNext("addAddress");
    const refreshed = send({ ...sampleRequest(clock.now()), connection });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.operations.at(-1)).toBe("addAddress 10.0.0.7/32");
    release();
    await refreshed;
    await clock.settle();
    expect(kernel.show(CLIENT)).toMatchObject([{ addresses: ["10.0.0.7/32"] }]);
    expect(debugState()["cross-connect"]).toEqual({ vWires: 1, journal: 1 });
  });

  /** Rewrites the journal's only file as it is before the kernel is asked: the interfaces' indexes are unknown. */
  function forgetIndexes(): void {
    const file = join(stateDir, readdirSync(stateDir)[0]!);
    const record = JSON.parse(readFileSync(file, "utf8")) as { client: object; endpoint: object };
    const early = (end: object) => ({ ...end, index: undefined, routes: [], neighbors: [] });
    const { client, endpoint } = record;
    writeFileSync(file, JSON.stringify({ ...record, client: early(client), endpoint: early(endpoint) }));
  }

  test.each([
    ["whose interfaces it knows", () => {}],
    ["whose interfaces it does not know", forgetIndexes],
  ])("does not take another forwarder's new wire for an old one %s", async (_what, spoil) => {
    const { kernel, clock } = await died();
    spoil();
    // The client healed by way of another forwarder, which replaced the wire by its own.
    await kernel.open(CLIENT).deleteLink("nsm-1");
    await forwarder({ kernel, clock, name: "other" }).ask();
    forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect(kernel.show(CLIENT)).toHaveLength(1);
  });

  test.each([
    ["before either end had its alias", [CLIENT, ENDPOINT]],
    ["before the endpoint's end had its alias", [ENDPOINT]],
  ])("makes a wire again that was left %s", async (_when, unfinished) => {
    const { kernel, clock, connection } = await died();
    for (const path of unfinished)
      kernel.change(path, path === CLIENT ? "nsm-1" : "fw-1", { alias: undefined });
    const { send, close, leftovers } = forwarder({ kernel, clock });
    await send({ ...sampleRequest(clock.now()), connection });
    expect(kernel.show(CLIENT)).toMatchObject([
      { name: "nsm-1", alias: `server-${ID}`, addresses: ["10.0.0.1/32"] },
    ]);
    await close();
    expect([kernel.show(CLIENT), leftovers()]).toEqual([[], {}]);
  });

  test("removes a wire that was left before it was finished", async () => {
    const { kernel, clock } = await died();
    forgetIndexes();
    kernel.change(CLIENT, "nsm-1", { alias: undefined });
    kernel.change(ENDPOINT, "fw-1", { alias: undefined });
    forwarder({ kernel, clock, stateDir });
    await clock.advance(TOKEN_LIFETIME_MS);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT)]).toEqual([[], []]);
  });

  test("removes an adopted wire that cannot be made as it is wanted", async () => {
    const { kernel, clock, connection } = await died();
    const { send, answer, downstream, leftovers } = forwarder({ kernel, clock, stateDir });
    answer.ip = ipContext({ srcIpAddrs: ["10.0.0.7/32"] });
    kernel.failNext("addAddress", Code.ResourceExhausted);
    await expect(send({ ...sampleRequest(clock.now()), connection })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    expect(downstream.calls).toEqual(["request", "close"]);
    expect([kernel.show(CLIENT), readdirSync(stateDir), leftovers()]).toEqual([[], [], {}]);
  });

  test.each([
    ["no JSON", () => "{ half a"],
    ["another version", (text: string) => text.replace('"version":1', '"version":2')],
    ["something missing", (text: string) => text.replace('"expires"', '"expired"')],
    ["another wire's", (text: string) => text.replaceAll("server-", "server-x")],
  ])("moves a journal file aside that holds %s, and goes on", async (_what, spoil) => {
    const { kernel, clock } = await died();
    const [name] = readdirSync(stateDir);
    const file = join(stateDir, name!);
    const good = readFileSync(file, "utf8");
    writeFileSync(file, spoil(good));
    const logger = logs();
    const { leftovers, ask, close } = forwarder({ kernel, clock, stateDir, logger });
    expect(readdirSync(stateDir)).toEqual([`${name}.unreadable`]);
    expect(logger.lines).toEqual([expect.stringContaining(`${name}.unreadable`)]);
    await ask();
    await close();
    expect(leftovers()).toEqual({});
  });

  test("forgets what its predecessor had not finished writing", () => {
    writeFileSync(join(stateDir, "abc.json.new"), "{ half a");
    forwarder({ stateDir });
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("leaves nothing half written when it cannot remember a wire", async () => {
    const { ask, close } = forwarder({ stateDir });
    await ask();
    const [name] = readdirSync(stateDir);
    await close();
    // Nothing can be renamed over a directory.
    mkdirSync(join(stateDir, name!));
    await expect(ask()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(readdirSync(stateDir)).toEqual([name]);
  });

  test("refuses a state directory that is none", () => {
    const file = join(stateDir, "file");
    writeFileSync(file, "");
    expect(() => forwarder({ stateDir: file })).toThrow(
      expect.objectContaining({ code: Code.FailedPrecondition, message: expect.stringContaining(file) }),
    );
  });

  test("makes no wire that it cannot remember", async () => {
    const gone = join(stateDir, "gone");
    const { ask, kernel, downstream, leftovers } = forwarder({ stateDir: gone });
    rmSync(gone, { recursive: true });
    await expect(ask()).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining(gone),
    });
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("keeps a wire of which it cannot write the news, and says so", async () => {
    const gone = join(stateDir, "gone");
    const logger = logs();
    const { ask, refresh, close, kernel, leftovers } = forwarder({ stateDir: gone, logger });
    await ask();
    rmSync(gone, { recursive: true });
    await refresh();
    expect(logger.lines).toEqual([expect.stringContaining("the journal is behind")]);
    expect(kernel.show(CLIENT)).toHaveLength(1);
    await close();
    expect(leftovers()).toEqual({});
  });

  /** Kills a forwarder after each change that `work` makes in turn, until it gets through. */
  async function killedEverywhere(
    work: (first: ReturnType<typeof realForwarder>) => Promise<unknown>,
    check: (after: { kernel: FakeKernel; clock: VirtualClock; stateDir: string }) => Promise<void>,
  ): Promise<number> {
    for (let steps = 0; ; steps++) {
      const [kernel, clock] = [new FakeKernel(CLIENT, ENDPOINT), virtualClock()];
      const directory = join(stateDir, `${steps}`);
      const mortal = mortalKernel(kernel, steps);
      const first = realForwarder({
        client: CLIENT,
        endpoint: ENDPOINT,
        clock,
        kernel: mortal.kernel,
        stateDir: directory,
      });
      first.answer.payload = Payload.Ip;
      const done = await Promise.race([work(first).then(() => true), mortal.death.then(() => false)]);
      first.program.abort();
      expect(kernel.opened).toBe(0);
      await check({ kernel, clock, stateDir: directory });
      if (done) return steps;
    }
  }
  const setUp = (first: ReturnType<typeof realForwarder>) => first.ask();
  const setUpAndClose = (first: ReturnType<typeof realForwarder>) => first.ask().then(() => first.close());

  test.each([
    ["setting up", setUp, 10],
    ["setting up and closing", setUpAndClose, 11],
  ])("killed at any step of %s, leaves nothing once the connection expires", async (_what, work, least) => {
    const steps = await killedEverywhere(work, async ({ kernel, clock, stateDir }) => {
      const { leftovers } = forwarder({ kernel, clock, stateDir });
      await clock.advance(TOKEN_LIFETIME_MS);
      await expect.poll(leftovers).toEqual({});
      expect([kernel.show(CLIENT), kernel.show(ENDPOINT), readdirSync(stateDir)]).toEqual([[], [], []]);
    });
    expect(steps).toBeGreaterThanOrEqual(least);
  });

  test.each([
    ["setting up", setUp],
    ["setting up and closing", setUpAndClose],
  ])("killed at any step of %s, has a successor that wires the connection", async (_what, work) => {
    await killedEverywhere(work, async ({ kernel, clock, stateDir }) => {
      // The clock is shared with the process that was killed, whose timers never end.
      const abandoned = clock.timers > 0 ? { timers: clock.timers } : {};
      for (const memory of [{ stateDir }, {}]) {
        const { ask, answer, close, leftovers } = forwarder({ kernel, clock, ...memory });
        answer.payload = Payload.Ip;
        await ask();
        expect(kernel.show(CLIENT)).toMatchObject([
          {
            name: "nsm-1",
            mtu: 9000,
            addresses: ["10.0.0.1/32"],
            routes: [expect.anything()],
            neighbors: [expect.anything()],
          },
        ]);
        expect(kernel.show(ENDPOINT)).toMatchObject([
          { name: "fw-1", mtu: 9000, addresses: ["10.0.0.0/32"] },
        ]);
        await close();
        expect([kernel.show(CLIENT), kernel.show(ENDPOINT), leftovers()]).toEqual([[], [], abandoned]);
      }
      expect(readdirSync(stateDir)).toEqual([]);
    });
  });
});
