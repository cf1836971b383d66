import { Mechanism } from "../../../src/api/index.js";
import { Code } from "../../../src/core/index.js";
import { describe, expect, test } from "vitest";
import { RequestFiles, requestFiles } from "../../../src/elements/request-files/index.js";
import { ipContext, kernelMechanism, type Answer } from "../support/forwarder.js";
import { CLIENT, ENDPOINT, forwarder } from "./kit.js";

describe("what cross-connect rejects before it calls the next hop", () => {
  const { PermissionDenied, InvalidArgument, NotFound } = Code;
  test.each([
    [
      "inode://4/4026532233",
      "nsm-1",
      PermissionDenied,
      /no descriptor came .*client.*inode:\/\/4\/4026532233/,
    ],
    ["/proc/1/ns/net", "nsm-1", PermissionDenied, /no descriptor came .*\/proc\/1\/ns\/net/],
    ["http://example.com/", "nsm-1", PermissionDenied, /no descriptor came .*http:/],
    ["", "nsm-1", InvalidArgument, /the client names no network namespace/],
    ["file:///proc/4711/ns/net", "nsm-1", NotFound, /\/proc\/4711\/ns\/net/],
    [`file://${CLIENT}`, "", InvalidArgument, /1 to 15 bytes/],
    [`file://${CLIENT}`, "sixteen-letters!", InvalidArgument, /sixteen-letters!.*1 to 15 bytes/],
    [`file://${CLIENT}`, "a/b", InvalidArgument, /"a\/b"/],
    [`file://${CLIENT}`, "nsm-%d", InvalidArgument, /nsm-%d/],
  ])("%j as namespace with the interface %j", async (inodeURL, name, code, sentence) => {
    const { sendRequest, downstream, leftovers, kernel } = forwarder();
    const mechanism = Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { inodeURL, name } });
    await expect(sendRequest({ mechanism })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(sentence),
    });
    expect([downstream.calls, leftovers(), kernel.opened]).toEqual([[], {}, 0]);
  });

  test.each(["file:///proc/self/ns/net", `file://${CLIENT}`])(
    "the path %s that a peer has written, because a path proves nothing",
    async (inodeURL) => {
      const { sendRequest, ctx, downstream, leftovers } = forwarder();
      const mechanism = Mechanism.create({
        cls: "LOCAL",
        type: "KERNEL",
        parameters: { inodeURL, name: "nsm-1" },
      });
      const withoutFiles = ctx.with(requestFiles, new RequestFiles());
      await expect(sendRequest({ mechanism }, withoutFiles)).rejects.toMatchObject({
        code: PermissionDenied,
      });
      await expect(sendRequest({ mechanism }, ctx.with(requestFiles, undefined))).rejects.toMatchObject({
        code: PermissionDenied,
      });
      expect([downstream.calls, leftovers()]).toEqual([[], {}]);
    },
  );

  test("an interface name that is taken", async () => {
    const { sendRequest, kernel, downstream, leftovers } = forwarder();
    kernel.addLink(CLIENT, "nsm-1");
    await expect(sendRequest()).rejects.toMatchObject({
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
      "a namespace without a descriptor",
      {
        mechanism: Mechanism.create({
          ...kernelMechanism(ENDPOINT, "fw-1"),
          parameters: { inodeURL: "inode://4/200", name: "fw-1" },
        }),
      },
      Code.PermissionDenied,
      /no descriptor came for the endpoint's.*inode:\/\/4\/200/,
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
    const { sendRequest, answer, kernel, downstream, leftovers } = forwarder();
    Object.assign(answer, change);
    await expect(sendRequest()).rejects.toMatchObject({ code, message: expect.stringMatching(sentence) });
    expect(downstream.calls).toEqual(["request", "close"]);
    expect([kernel.show(CLIENT), kernel.show(ENDPOINT), kernel.opened]).toEqual([[], [], 0]);
    expect(leftovers()).toEqual({});
  });

  test("a name that is taken in the endpoint's namespace", async () => {
    const { sendRequest, kernel, downstream, leftovers } = forwarder();
    kernel.addLink(ENDPOINT, "fw-1");
    await expect(sendRequest()).rejects.toMatchObject({
      code: Code.AlreadyExists,
      message: expect.stringMatching(/"fw-1" is taken in the endpoint's network namespace/),
    });
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });

  test("anything, if the caller canceled in the meantime", async () => {
    const { sendRequest, answer, ctx, kernel, downstream, leftovers } = forwarder();
    const caller = new AbortController();
    answer.onRequest = () => caller.abort();
    await expect(ctx.withSignal(caller.signal, (c) => sendRequest({}, c))).rejects.toThrow();
    expect([downstream.calls, kernel.show(CLIENT), leftovers()]).toEqual([["request", "close"], [], {}]);
  });
});
