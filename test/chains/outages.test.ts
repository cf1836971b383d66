import { afterEach, describe, expect, test } from "vitest";
import { State, type Connection } from "../../src/api/index.js";
import { Context, type NetworkServiceElement } from "../../src/core/index.js";
import { retry } from "../../src/elements/retry/index.js";
import { mesh, type Mesh, type MeshClient } from "../../src/testing/index.js";

let running: Mesh | undefined;
async function start() {
  const net = await mesh({ transport: "memory" });
  running = net;
  const { clock, network } = net.virtual!;
  return { net, clock, faults: network.faults };
}

afterEach(async () => {
  await running?.stop();
  await running?.virtual!.clock.settle();
  expect(running?.virtual!.clock.timers).toBe(0);
});

/** The calls that reach an endpoint, or a client's chain. */
function counter() {
  const seen = { requests: 0, reselects: 0, closes: 0 };
  const element: NetworkServiceElement = {
    name: "counter",
    request(ctx, request, next) {
      seen.requests++;
      if (request.connection!.state === State.RESELECT_REQUESTED) seen.reselects++;
      return next.request(ctx, request);
    },
    close(ctx, connection, next) {
      seen.closes++;
      return next.close(ctx, connection);
    },
  };
  return { seen, elements: [element] };
}

/** Closes like a program: retries until it succeeds. */
function closeAgain(net: Mesh, nsc: MeshClient, connection: Connection): Promise<void> {
  const service = retry({
    request: () => Promise.reject(new Error("unused")),
    close: (_ctx, again) => nsc.close(again),
  });
  return Context.background({ clock: net.clock }).withTimeout(60_000, (ctx) =>
    service.close(ctx, connection),
  );
}

describe("a mesh with an outage", () => {
  test("an outage of the registry for an hour does not affect established connections", async () => {
    const { net, clock } = await start();
    const [atEndpoint, atClient] = [counter(), counter()];
    await net.endpoint({ name: "nse", service: "firewall", elements: atEndpoint.elements });
    const nsc = net.client({ elements: atClient.elements });
    const connection = await nsc.request("firewall");

    await net.registry.kill();
    await clock.advance(3_600_000);
    expect(atEndpoint.seen.closes).toBe(0);
    expect(atEndpoint.seen.requests).toBeGreaterThan(10);
    expect(atClient.seen).toEqual(atEndpoint.seen);

    await net.registry.start();
    await clock.advance(60_000);
    const later = await nsc.request("firewall", connection);
    expect(later.context).toEqual(connection.context);
    await nsc.close(later);
    expect(atEndpoint.seen).toMatchObject({ reselects: 0, closes: 1 });
    const other = net.client({ name: "other" });
    await other.close(await other.request("firewall"));
  }, 60_000);

  test("a registry that lost its entries does not affect established connections", async () => {
    const { net, clock } = await start();
    const atEndpoint = counter();
    await net.endpoint({ name: "nse", service: "firewall", elements: atEndpoint.elements });
    const nsc = net.client();
    const connection = await nsc.request("firewall");
    await net.registry.kill();
    await net.registry.start();
    const refreshed = await nsc.request("firewall", connection);
    await clock.advance(600_000);
    expect(atEndpoint.seen).toMatchObject({ reselects: 0, closes: 0 });
    await nsc.close(refreshed);
  });

  test("an endpoint that never answers leaves time for the next one", async () => {
    const { net, clock, faults } = await start();
    const unreachable = await net.endpoint({ name: "nse-1", service: "firewall" });
    await net.endpoint({ name: "nse-2", service: "firewall" });
    faults.delay({ from: "forwarder", to: unreachable.url, ms: 3_600_000 });
    const nsc = net.client();
    const request = nsc.request("firewall");
    await clock.advance(15_000);
    const connection = await request;
    expect(connection.networkServiceEndpointName).toBe("nse-2");
    await nsc.close(connection);
    faults.clear();
  });

  test("a Close succeeds at once when the endpoint is permanently gone", async () => {
    const { net, clock } = await start();
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client({ heal: false });
    const connection = await nsc.request("firewall");
    await nse.close();
    const startedAt = clock.now();
    await closeAgain(net, nsc, connection);
    expect(clock.now()).toBe(startedAt);
    expect(nsc.debugState()).toEqual({});
  });

  test("a Close succeeds at once when healing found no other endpoint", async () => {
    const { net, clock } = await start();
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    const connection = await nsc.request("firewall");
    await nse.close();
    await clock.advance(30_000);
    const startedAt = clock.now();
    await closeAgain(net, nsc, connection);
    expect(clock.now()).toBe(startedAt);
    expect(nsc.debugState()).toEqual({});
  });

  test("a connection that heals to an endpoint with other prefixes has only the new addresses", async () => {
    const { net, clock } = await start();
    const one = await net.endpoint({ name: "nse-1", service: "firewall", prefix: "10.0.0.0/24" });
    const nsc = net.client();
    const before = await nsc.request("firewall");
    expect(before.context!.ipContext!.srcIpAddrs).toEqual(["10.0.0.1/32"]);
    await net.endpoint({ name: "nse-2", service: "firewall", prefix: "10.9.0.0/24" });
    await one.kill();
    await clock.advance(5_000);
    const after = await nsc.request("firewall", before);
    expect(after.networkServiceEndpointName).toBe("nse-2");
    expect(after.context!.ipContext).toMatchObject({
      srcIpAddrs: ["10.9.0.1/32"],
      dstIpAddrs: ["10.9.0.0/32"],
      srcRoutes: [{ prefix: "10.9.0.0/32" }],
      dstRoutes: [{ prefix: "10.9.0.1/32" }],
    });
    await nsc.close(after);
  });
});
