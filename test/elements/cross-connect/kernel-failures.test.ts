import { Payload } from "../../../src/api/index.js";
import { Code } from "../../../src/core/index.js";
import { describe, expect, test } from "vitest";
import { ipContext, kernelMechanism } from "../support/forwarder.js";
import { CLIENT, ENDPOINT, forwarder } from "./kit.js";

describe("cross-connect, when the kernel rejects", () => {
  test.each(["createVeth", "addAddress", "replaceRoute", "replaceNeighbor", "enableIpv6", "addressesUsable"])(
    "%s, leaves nothing and closes at the next hop",
    async (operation) => {
      const { sendRequest, answer, kernel, downstream, leftovers } = forwarder();
      answer.payload = Payload.Ip;
      answer.ip = ipContext({ srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"] });
      kernel.failNext(operation, Code.ResourceExhausted);
      await expect(sendRequest()).rejects.toMatchObject({ code: Code.ResourceExhausted });
      expect(downstream.calls).toEqual(["request", "close"]);
      expect([kernel.show(CLIENT), kernel.show(ENDPOINT), kernel.opened]).toEqual([[], [], 0]);
      expect(leftovers()).toEqual({});
      await sendRequest();
    },
  );

  test.each(["allowPing", "enableIpv6"])("%s, continues without it if it is optional", async (operation) => {
    const { sendRequest, kernel } = forwarder();
    kernel.failNext(operation, Code.PermissionDenied);
    await sendRequest();
    expect(kernel.show(CLIENT)).toHaveLength(1);
  });

  test.each([
    "addAddress",
    "removeAddress",
    "replaceRoute",
    "replaceNeighbor",
    "setLink",
    // This is at the endpoint, after the client side is complete.
    "replaceRoute 10.0.0.5/32",
  ])("%s during a refresh, restores the earlier settings and continues", async (operation) => {
    const { sendRequest, refresh, answer, kernel, downstream, close, leftovers } = forwarder();
    const before = answer.ip;
    await sendRequest();
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

  test("a new vWire in place of the old, removes both and closes at the next hop", async () => {
    const { sendRequest, refresh, answer, kernel, downstream, close, leftovers } = forwarder();
    await sendRequest();
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

  test("to delete, reports it and retries later", async () => {
    const { sendRequest, close, kernel, clock, debugState, leftovers } = forwarder();
    await sendRequest();
    kernel.failNext("deleteLink", Code.ResourceExhausted);
    await expect(close()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(debugState()).toEqual({ "cross-connect": { timers: 1 } });
    await clock.advance(60_000);
    expect([kernel.show(CLIENT), leftovers()]).toEqual([[], {}]);
  });
});

test("cross-connect does not retry after the end of the program", async () => {
  const { sendRequest, close, kernel, clock, program } = forwarder();
  await sendRequest();
  program.abort();
  kernel.failNext("deleteLink", Code.ResourceExhausted);
  await expect(close()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  expect(clock.timers).toBe(0);
});
