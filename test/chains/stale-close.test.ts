import { expect, test } from "vitest";
import { pathOf, type Connection } from "../../src/api/index.js";
import { mesh } from "../../src/testing/index.js";

// A connection moves to another forwarder while the manager restarts. The first forwarder stays up and closes
// its part when the token expires. That Close reaches the endpoint with the segment id that both parts share.
test("a forwarder that a connection has left does not close it at the endpoint", async () => {
  const net = await mesh({ transport: "memory" });
  const { clock, network } = net.virtual!;
  let closes = 0;
  await net.endpoint({
    name: "nse",
    service: "firewall",
    elements: [{ name: "spy", close: (ctx, connection, next) => (closes++, next.close(ctx, connection)) }],
  });
  let connection: Connection | undefined;
  const losses: unknown[] = [];
  const nsc = net.client({
    heal: {
      liveness: { check: async () => true, intervalMs: 5_000 },
      onHealing: (_connection, loss, cause) => losses.push([loss, cause]),
    },
    elements: [
      {
        name: "last",
        request: async (ctx, request, next) => (connection = await next.request(ctx, request)),
      },
    ],
  });
  connection = await nsc.request("firewall");
  await net.addForwarder("forwarder-2");
  const undo = network.faults.cut({ from: "nsmgr", to: net.forwarder.url });
  await net.nsmgr.kill();
  await net.nsmgr.start();
  await clock.advance(60_000);
  expect(pathOf(connection!).pathSegments.map(({ name }) => name)).toContain("forwarder-2");
  undo();
  losses.length = 0;
  await clock.advance(900_000);
  expect([closes, losses]).toEqual([0, []]);
  await nsc.close(connection!);
  expect(closes).toBe(1);
  await net.stop();
  await clock.settle();
  expect(clock.timers).toBe(0);
});
