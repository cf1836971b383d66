import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pathOf, State, type Connection } from "../../src/api/index.js";
import { Code, NsmError, type NetworkServiceElement } from "../../src/core/index.js";
import type { HealOptions } from "../../src/elements/heal/index.js";
import {
  mesh,
  type Mesh,
  type MeshClient,
  type MeshOptions,
  type VirtualClock,
} from "../../src/testing/index.js";

/** The calls and losses of a client. */
interface HealedClient {
  readonly nsc: MeshClient;
  /** Number of Closes that it sent. */
  closes: number;
  /** Number of Requests that it sent, including the first. */
  requests: number;
  /** The losses that it detected, with the hop that reported them first. */
  readonly losses: string[];
  /** The last answer. */
  connection: Connection;
}

const HOUR = 3_600_000;
const alive = { check: async () => true };

let net: Mesh;
let clock: VirtualClock;

async function start(options: Partial<MeshOptions> = {}): Promise<void> {
  net = await mesh({ transport: "memory", ...options });
  clock = net.virtual!.clock;
}

beforeEach(() => start());

afterEach(async () => {
  await net.stop();
  await clock.settle();
  expect(net.virtual!.network.debugState()).toMatchObject({ listeners: 0, calls: 0 });
  expect(clock.timers).toBe(0);
});

/** A client with a connection to the service. */
async function connected(heal: Partial<HealOptions> = {}, name = "nsc"): Promise<HealedClient> {
  const losses: string[] = [];
  const count: NetworkServiceElement = {
    name: "count",
    async request(ctx, request, next) {
      client.requests++;
      return (client.connection = await next.request(ctx, request));
    },
    async close(ctx, connection, next) {
      client.closes++;
      await next.close(ctx, connection);
    },
  };
  const nsc = net.client({
    name,
    elements: [count],
    heal: {
      onHealing: (_connection, loss, cause) =>
        losses.push(cause ? `${loss}: ${cause.reason} behind ${cause.hop}` : loss),
      ...heal,
    },
  });
  const client: HealedClient = { nsc, closes: 0, requests: 0, losses, connection: undefined! };
  await nsc.request("firewall");
  return client;
}

const hops = ({ connection }: HealedClient): string[] =>
  pathOf(connection).pathSegments.map(({ name }) => name);
const addresses = ({ connection }: HealedClient): unknown => connection.context?.ipContext?.srcIpAddrs;

/** Closes the connection. */
async function end({ nsc, connection }: HealedClient): Promise<void> {
  await nsc.close(connection);
  await clock.settle();
  expect(nsc.debugState()).toEqual({});
}

describe("while packets flow, and without a liveness check", () => {
  test.each([
    ["nsmgr", "packets flow", 10_000],
    ["nsmgr", "packets flow", 60_000],
    ["nsmgr", "packets flow", HOUR],
    ["nsmgr", "nothing tells", 60_000],
    ["nsmgr", "nothing tells", HOUR],
    ["forwarder", "packets flow", 10_000],
    ["forwarder", "packets flow", 60_000],
    ["forwarder", "packets flow", HOUR],
  ] as const)(
    "an outage of a %s while %s, for %i ms, changes nothing",
    async (which, dataPlane, ms) => {
      const liveness = dataPlane === "packets flow" ? alive : undefined;
      await net.stop();
      await start({ maxTokenLifetimeMs: 24 * HOUR });
      const nse = await net.endpoint({ name: "nse-1", service: "firewall" });
      const client = await connected({ liveness });
      const before = addresses(client);
      // Another endpoint that healing could select.
      await net.endpoint({ name: "nse-2", service: "firewall", prefix: "10.1.0.0/24" });
      await net[which].kill();
      await clock.advance(ms);
      await net[which].start();
      await clock.advance(20_000);
      expect(client).toMatchObject({ closes: 0, connection: { state: State.UP } });
      expect(hops(client)).toEqual(["nsc", "nsmgr", "forwarder", "nse-1"]);
      expect(addresses(client)).toEqual(before);
      expect(client.losses.length).toBeLessThanOrEqual(1);
      expect(nse.debugState()).toMatchObject({ "begin/server": { connections: 1 } });
      await end(client);
    },
    60_000,
  );

  test.each(["packets flow", "nothing tells"])(
    "an outage of the registry while a connection is refreshed and %s changes nothing",
    async (dataPlane) => {
      await net.endpoint({ name: "nse-1", service: "firewall" });
      const client = await connected({ liveness: dataPlane === "packets flow" ? alive : undefined });
      await net.registry.kill();
      await clock.advance(300_000);
      await net.registry.start();
      await clock.advance(30_000);
      expect(client).toMatchObject({ closes: 0, losses: [] });
      await end(client);
    },
  );

  test("an endpoint that restarts soon keeps its connection", async () => {
    const nse = await net.endpoint({ name: "nse-1", service: "firewall" });
    const client = await connected({ liveness: alive });
    await net.endpoint({ name: "nse-2", service: "firewall" });
    await nse.kill();
    await clock.advance(1_500);
    await nse.start();
    await clock.advance(3_000);
    expect(hops(client).at(-1)).toBe("nse-1");
    expect(client).toMatchObject({ closes: 0, losses: ["control plane: unreachable behind forwarder"] });
    await end(client);
  });

  test("a refresh that its caller cancels is not reported as a loss", async () => {
    await net.endpoint({ name: "nse-1", service: "firewall" });
    const client = await connected();
    net.virtual!.network.faults.cancelCalls({ from: "nsc", method: "Request", times: 1 });
    await expect(client.nsc.request("firewall")).rejects.toMatchObject({ code: Code.Cancelled });
    await clock.advance(5_000);
    expect(client).toMatchObject({ closes: 0, losses: [] });
    await end(client);
  });
});

describe("an endpoint that is gone", () => {
  test("permanently is replaced at once, although its address still answers", async () => {
    const nse = await net.endpoint({ name: "nse-1", service: "firewall" });
    const client = await connected({ liveness: alive });
    await net.endpoint({ name: "nse-2", service: "firewall" });
    await nse.close();
    await clock.advance(300);
    expect(hops(client).at(-1)).toBe("nse-2");
    expect(client.losses).toEqual(["control plane: unreachable behind forwarder"]);
    await end(client);
  });

  test("without an Unregister is replaced at once without a liveness check", async () => {
    const nse = await net.endpoint({ name: "nse-1", service: "firewall" });
    const client = await connected();
    await net.endpoint({ name: "nse-2", service: "firewall" });
    await nse.kill();
    await clock.advance(300);
    expect(hops(client).at(-1)).toBe("nse-2");
    await end(client);
  });

  test("is replaced when packets stop, although a refresh precedes each check", async () => {
    await net.endpoint({ name: "nse-1", service: "firewall" });
    let dead = "";
    const client = await connected({
      liveness: {
        check: async (_ctx, { networkServiceEndpointName: name }) => name !== dead,
        onceAnswered: true,
      },
    });
    await net.endpoint({ name: "nse-2", service: "firewall" });
    await clock.advance(10_000);
    dead = client.connection.networkServiceEndpointName;
    for (let i = 0; i < 20; i++) {
      await clock.advance(150);
      await client.nsc.request("firewall", client.connection).catch(() => {});
    }
    expect(client.losses).toContain("data plane");
    expect(hops(client).at(-1)).toBe("nse-2");
    await end(client);
  });
});

describe("events that arrive late", () => {
  test.each([1, 5, 50, 500])(
    "by %i ms about a closed connection do not affect the connection that replaced it",
    async (ms) => {
      let refusals = 0;
      await net.endpoint({
        name: "nse-1",
        service: "firewall",
        elements: [
          {
            name: "refuse",
            request: async (ctx, request, next) => {
              if (refusals-- > 0) throw new NsmError(Code.FailedPrecondition, "not now");
              return next.request(ctx, request);
            },
          },
        ],
      });
      // A second connection, so that forwarder and manager keep their streams while the first is rebuilt.
      const other = await connected({}, "other");
      const client = await connected();
      net.virtual!.network.faults.delay({ method: "MonitorConnections", direction: "back", ms });
      refusals = 2;
      await client.nsc.request("firewall", client.connection).catch(() => {});
      await clock.advance(30_000);
      expect(client).toMatchObject({ closes: 1, connection: { state: State.UP } });
      expect(client.requests).toBeLessThan(8);
      expect(other).toMatchObject({ requests: 1, closes: 0, losses: [] });
      await end(client);
      await end(other);
      await clock.advance(1_000);
    },
  );
});

test("one broken stream with a thousand established connections reports none of them as DOWN", async () => {
  await net.endpoint({ name: "nse-1", service: "firewall", prefix: "10.0.0.0/16" });
  const clients = await Promise.all(Array.from({ length: 1_000 }, (_, i) => connected({}, `nsc-${i}`)));
  await clock.settle();
  // A large initial set arrives in several messages of a hundred connections.
  const { faults } = net.virtual!.network;
  faults.delay({ from: "nsmgr", method: "MonitorConnections", direction: "back", ms: 200 });
  faults.cut({ from: "nsmgr", to: net.forwarder.url, times: 1 });
  await clock.advance(30_000);
  expect(clients.flatMap(({ losses }) => losses)).toEqual([]);
}, 60_000);

test("a Request that the endpoint rejects fails with the reason and the name of the endpoint", async () => {
  let refusing = false;
  await net.endpoint({
    name: "nse-1",
    service: "firewall",
    elements: [
      {
        name: "refuse",
        request: async (ctx, request, next) => {
          if (refusing) throw new NsmError(Code.FailedPrecondition, "not any more");
          return next.request(ctx, request);
        },
      },
    ],
  });
  const client = await connected({ liveness: alive });
  refusing = true;
  await expect(client.nsc.request("firewall", client.connection)).rejects.toThrow();
  await clock.settle();
  expect(client.losses).toEqual(["control plane: refused behind nse-1"]);
  expect(client.closes).toBe(0);
  refusing = false;
  await clock.advance(2_000);
  expect(client.closes).toBe(0);
  await end(client);
});
