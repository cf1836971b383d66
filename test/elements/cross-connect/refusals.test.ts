import { Mechanism } from "../../../src/api/index.js";
import { Code, peer } from "../../../src/core/index.js";
import { describe, expect, test } from "vitest";
import { FakeKernel } from "../support/fake-kernel.js";
import { ipContext, kernelMechanism, type Answer } from "../support/forwarder.js";
import { CLIENT, ENDPOINT, forwarder } from "./kit.js";

describe("what cross-connect rejects before it calls the next hop", () => {
  const { Unimplemented, InvalidArgument, NotFound } = Code;
  test.each([
    ["file:///proc/self/ns/net", "nsm-1", InvalidArgument, /refers to the forwarder's own namespace/],
    [
      "file:///proc/thread-self/ns/net",
      "nsm-1",
      InvalidArgument,
      /thread-self.*refers to the forwarder's own namespace/,
    ],
    ["file:///proc//1/../self/ns/net", "nsm-1", InvalidArgument, /refers to the forwarder's own namespace/],
    ["inode://4/4026532233", "nsm-1", Unimplemented, /inode:\/\/4\/4026532233.*descriptor/],
    ["", "nsm-1", InvalidArgument, /the client names no network namespace/],
    ["file://host/proc/1/ns/net", "nsm-1", InvalidArgument, /file:\/\/host/],
    ["file:///proc/1%00/ns/net", "nsm-1", InvalidArgument, /is not a path/],
    ["proc/1/ns/net", "nsm-1", InvalidArgument, /proc\/1\/ns\/net/],
    ["http://example.com/", "nsm-1", InvalidArgument, /http:/],
    ["file:///proc/4711/ns/net", "nsm-1", NotFound, /\/proc\/4711\/ns\/net/],
    [`file://${CLIENT}`, "", InvalidArgument, /1 to 15 bytes/],
    [`file://${CLIENT}`, "sixteen-letters!", InvalidArgument, /sixteen-letters!.*1 to 15 bytes/],
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

  test("accepts the path of a namespace file unchanged", async () => {
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

  test("a namespace that a peer on another machine names", async () => {
    const { ask, ctx, downstream, leftovers } = forwarder();
    const remote = ctx.with(peer, { address: "192.0.2.1:5000", local: false });
    await expect(ask({}, remote)).rejects.toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringMatching(/client.*\/proc\/100\/ns\/net.*unix socket or the loopback/),
    });
    expect([downstream.calls, leftovers()]).toEqual([[], {}]);
    // An unknown caller may be on any machine.
    await expect(ask({}, ctx.with(peer, undefined))).rejects.toMatchObject({ code: Code.PermissionDenied });
    await ask({}, ctx.with(peer, { address: "unix", local: true }));
  });

  test("an interface name that is taken", async () => {
    const { ask, kernel, downstream, leftovers } = forwarder();
    kernel.addLink(CLIENT, "nsm-1");
    await expect(ask()).rejects.toMatchObject({
      code: Code.AlreadyExists,
      message: expect.stringMatching(/"nsm-1" is taken in the client's network namespace/),
    });
    expect([downstream.calls, leftovers(), kernel.opened]).toEqual([[], {}, 0]);
  });
});

describe("what cross-connect rejects in the endpoint's answer", () => {
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
      /invalid interface name "sixteen-letters!"/,
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
  ])("but accepts a namespace from an endpoint at %s", async (url) => {
    const { ask, answer } = forwarder();
    answer.url = url;
    await expect(ask()).resolves.toMatchObject({ id: expect.any(String) });
  });

  test("a name that is taken in the endpoint's namespace", async () => {
    const { ask, kernel, downstream, leftovers } = forwarder();
    kernel.addLink(ENDPOINT, "fw-1");
    await expect(ask()).rejects.toMatchObject({
      code: Code.AlreadyExists,
      message: expect.stringMatching(/"fw-1" is taken in the endpoint's network namespace/),
    });
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("anything, if the client has ended in the meantime", async () => {
    const { ask, answer, kernel, downstream, leftovers } = forwarder();
    answer.onRequest = () => kernel.destroy(CLIENT);
    await expect(ask()).rejects.toMatchObject({ code: Code.NotFound });
    expect([downstream.calls, kernel.show(ENDPOINT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("anything, if the caller canceled in the meantime", async () => {
    const { ask, answer, ctx, kernel, downstream, leftovers } = forwarder();
    const caller = new AbortController();
    answer.onRequest = () => caller.abort();
    await expect(ctx.withSignal(caller.signal, (c) => ask({}, c))).rejects.toThrow();
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });
});
