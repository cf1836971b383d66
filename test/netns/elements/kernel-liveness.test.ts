import { ConnectionContext, Mechanism, type Connection, type IPContext } from "../../../src/api/index.js";
import { Context } from "../../../src/core/index.js";
import { kernelLiveness } from "../../../src/elements/heal/index.js";
import { netlinkIn } from "../../../src/linux/index.js";
import { accept, limit, nftablesIn, rule } from "../../../src/linux/nftables/index.js";
import { sampleConnection } from "../../../src/testing/index.js";
import { describe, expect, test } from "vitest";
import { ipContext, kernelMechanism } from "../../elements/support/forwarder.js";
import { client4, client6, endpoint4, endpoint6, wired } from "../linux/wired.js";

/** A connection over the wire with these addresses. */
function connectionWith(
  ip: Partial<IPContext>,
  mechanism = kernelMechanism("/proc/1/ns/net", "nsm-1"),
): Connection {
  const context = { ...ConnectionContext.create(), ipContext: ipContext(ip) };
  return sampleConnection(0, { mechanism, context });
}
const both = connectionWith({
  srcIpAddrs: [`${client4}/32`, `${client6}/128`],
  dstIpAddrs: [`${endpoint4}/32`, `${endpoint6}/128`],
});
const within = (ms: number, work: (ctx: Context) => Promise<boolean>): Promise<boolean> =>
  Context.background().withTimeout(ms, work);

describe("the kernel's liveness check", () => {
  test("reports a connection as alive when all its addresses answer", () =>
    wired(async ([namespace]) => {
      const check = kernelLiveness({ namespace });
      await expect(within(1_000, (ctx) => check(ctx, both))).resolves.toBe(true);
    }));

  test("reports it as dead when one address does not answer, before the time limit", () =>
    wired(async ([namespace, endpoint]) => {
      const check = kernelLiveness({ namespace });
      await netlinkIn(endpoint).removeAddress("fw-1", `${endpoint6}/128`);
      await expect(within(300, (ctx) => check(ctx, both))).resolves.toBe(false);
    }));

  test("reports it as dead when the far end is down", () =>
    wired(async ([namespace, endpoint]) => {
      const check = kernelLiveness({ namespace });
      await netlinkIn(endpoint).setLink("fw-1", { up: false });
      await expect(within(300, (ctx) => check(ctx, both))).resolves.toBe(false);
    }));

  test("reports it as dead when pings cannot be sent, regardless of earlier replies", () =>
    wired(async ([namespace]) => {
      const check = kernelLiveness({ namespace });
      const once = rule([limit({ packets: 1, per: "day", burst: 1 }), accept()]);
      const hook = { name: "output", policy: "drop" } as const;
      await nftablesIn(namespace).replaceTable({
        family: "inet",
        name: "once",
        chains: [{ name: "out", hook, rules: [once] }],
      });
      const v4 = connectionWith({ srcIpAddrs: [`${client4}/32`], dstIpAddrs: [`${endpoint4}/32`] });
      await expect(within(300, (ctx) => check(ctx, v4))).resolves.toBe(false);
    }));

  test("fails when the client's address is gone", () =>
    wired(async ([namespace]) => {
      const check = kernelLiveness({ namespace });
      await netlinkIn(namespace).deleteLink("nsm-1");
      await expect(within(300, (ctx) => check(ctx, both))).rejects.toMatchObject({
        message: expect.stringContaining(client4),
      });
    }));

  test("sends no ping to the other IP version", () =>
    wired(async ([namespace]) => {
      const check = kernelLiveness({ namespace });
      const mixed = connectionWith({ srcIpAddrs: [`${client4}/32`], dstIpAddrs: [`${endpoint6}/128`] });
      await expect(within(300, (ctx) => check(ctx, mixed))).resolves.toBe(true);
    }));

  test.each([
    ["without addresses", connectionWith({ srcIpAddrs: [], dstIpAddrs: [] })],
    ["without a context", sampleConnection(0, { mechanism: kernelMechanism("/proc/1/ns/net", "nsm-1") })],
    [
      "of another mechanism",
      connectionWith({ dstIpAddrs: ["192.0.2.1/32"] }, Mechanism.create({ type: "MEMIF" })),
    ],
  ])("takes a connection %s for alive", (_what, connection) =>
    wired(async ([namespace]) => {
      const check = kernelLiveness({ namespace });
      await expect(within(300, (ctx) => check(ctx, connection))).resolves.toBe(true);
    }),
  );
});
