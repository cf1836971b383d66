import { afterEach, describe, expect, test } from "vitest";
import { State, type Connection } from "../../src/api/index.js";
import { Code, explain, type NetworkServiceElement } from "../../src/core/index.js";
import { mesh, type Mesh, type MeshOptions } from "../../src/testing/index.js";

const names = (connection: Connection): string[] => connection.path!.pathSegments.map(({ name }) => name);
const ids = (connection: Connection): string[] => connection.path!.pathSegments.map(({ id }) => id);

let running: Mesh | undefined;
const start = async (options: MeshOptions): Promise<Mesh> => (running = await mesh(options));

/** No process holds any resources except those of the registrations. */
function expectNoConnections({ nsmgr, forwarder }: Mesh): void {
  for (const { debugState } of [nsmgr, forwarder]) {
    const held = Object.keys(debugState());
    for (const element of ["begin/server", "connection-state", "timeout", "monitor", "connect/server"]) {
      expect(held).not.toContain(element);
    }
  }
}

afterEach(async () => {
  await running?.stop();
  if (running?.virtual) {
    await running.virtual.clock.settle();
    expect(running.virtual.network.debugState()).toEqual({ listeners: 0, calls: 0, faults: 0 });
    expect(running.virtual.clock.timers).toBe(0);
  }
  running = undefined;
});

describe.each([{ transport: "memory" }, { transport: "grpc" }] as const)("a mesh over $remote", (options) => {
  test("forwards a Request through manager and forwarder to the endpoint", async () => {
    const net = await start(options);
    await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    const connection = await nsc.request("firewall");
    expect(names(connection)).toEqual(["nsc", "nsmgr", "forwarder", "nse"]);
    expect(connection).toMatchObject({
      id: "nsc-0",
      networkServiceEndpointName: "nse",
      payload: "ETHERNET",
      state: State.UP,
      path: { index: 0 },
      mechanism: { type: "KERNEL", cls: "LOCAL" },
      context: { ipContext: { srcIpAddrs: ["10.0.0.1/32"], dstIpAddrs: ["10.0.0.0/32"] } },
    });
    for (const { token, expires } of connection.path!.pathSegments) {
      expect(token.split(".")).toHaveLength(3);
      expect(expires).toBeDefined();
    }
    await nsc.close(connection);
    expect(nsc.debugState()).toEqual({});
    expectNoConnections(net);
  });

  test("answers a refresh with the same ids and addresses and newer tokens", async () => {
    const net = await start(options);
    await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    const first = await nsc.request("firewall");
    await net.virtual?.clock.advance(60_000);
    const second = await nsc.request("firewall", first);
    expect(ids(second)).toEqual(ids(first));
    expect(second.context).toEqual(first.context);
    await nsc.close(second);
  });

  test("moves to another endpoint when the current one fails", async () => {
    const net = await start(options);
    const one = await net.endpoint({ name: "nse-1", service: "firewall" });
    const healed = waitFor<Connection>();
    const nsc = net.client({
      elements: [
        {
          name: "watch",
          request: async (ctx, request, next) => {
            const connection = await next.request(ctx, request);
            if (connection.networkServiceEndpointName === "nse-2") healed.resolve(connection);
            return connection;
          },
        },
      ],
    });
    const before = await nsc.request("firewall");
    expect(before.networkServiceEndpointName).toBe("nse-1");
    await net.endpoint({ name: "nse-2", service: "firewall" });
    await one.kill();
    await net.virtual?.clock.advance(1_000);
    const after = await healed.promise;
    expect(names(after)).toEqual(["nsc", "nsmgr", "forwarder", "nse-2"]);
    expect(ids(after).slice(0, 3)).toEqual(ids(before).slice(0, 3));
    await nsc.close(after);
    expect(nsc.debugState()).toEqual({});
    expectNoConnections(net);
  });

  test.each(["nsmgr", "forwarder", "registry"] as const)(
    "is established again after its %s was killed and restarted",
    async (which) => {
      const net = await start(options);
      await net.endpoint({ name: "nse", service: "firewall" });
      const nsc = net.client();
      const before = await nsc.request("firewall");
      await net[which].kill();
      await net.virtual?.clock.advance(500);
      await net[which].start();
      // Registrations return and healing runs. In the end a Request succeeds.
      const after = await eventually(net, () => nsc.request("firewall", before));
      expect(names(after)).toEqual(["nsc", "nsmgr", "forwarder", "nse"]);
      await nsc.close(after);
      await net.virtual?.clock.advance(3_000);
      expect(nsc.debugState()).toEqual({});
      expectNoConnections(net);
    },
  );

  test("answers NOT_FOUND to a Request for an unknown service", async () => {
    const net = await start(options);
    const nsc = net.client();
    await expect(nsc.request("nowhere")).rejects.toMatchObject({ code: Code.NotFound });
    expect(nsc.debugState()).toEqual({});
    expectNoConnections(net);
  });

  test("answers NOT_FOUND when the service has no endpoint left", async () => {
    const net = await start(options);
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    await nse.close();
    const nsc = net.client();
    await expect(nsc.request("firewall")).rejects.toMatchObject({ code: Code.NotFound });
    expectNoConnections(net);
  });

  test("answers RESOURCE_EXHAUSTED when the endpoint has no address left", async () => {
    const net = await start(options);
    await net.endpoint({ name: "nse", service: "firewall", prefix: "10.0.0.0/31" });
    const one = net.client({ name: "nsc-a" });
    const two = net.client({ name: "nsc-b" });
    const connection = await one.request("firewall");
    await expect(two.request("firewall")).rejects.toMatchObject({ code: Code.ResourceExhausted });
    await one.close(connection);
    await two.close(await two.request("firewall"));
    expectNoConnections(net);
  });

  test("serves many clients at the same time, each with its own addresses", async () => {
    const net = await start(options);
    await net.endpoint({ name: "nse", service: "firewall" });
    const clients = Array.from({ length: 50 }, (_, i) => net.client({ name: `nsc-${i}` }));
    const connections = await Promise.all(clients.map((nsc) => nsc.request("firewall")));
    const addresses = connections.flatMap(({ context }) => [
      ...context!.ipContext!.srcIpAddrs,
      ...context!.ipContext!.dstIpAddrs,
    ]);
    expect(new Set(addresses).size).toBe(100);
    await Promise.all(clients.map((nsc, i) => nsc.close(connections[i]!)));
    expectNoConnections(net);
  });
});

describe("a mesh in virtual time", () => {
  test("rejects an element of a client or an endpoint that changes a message in place", async () => {
    const mutating: NetworkServiceElement = {
      name: "mutating",
      request(ctx, request, next) {
        (request.connection!.labels as Record<string, string>)["app"] = "mine";
        return next.request(ctx, request);
      },
    };
    const net = await start({ transport: "memory" });
    await net.endpoint({ name: "nse", service: "firewall", elements: [mutating] });
    await expect(net.client({ elements: [mutating] }).request("firewall")).rejects.toThrow(TypeError);
    const refusal = net.client({ name: "other" }).request("firewall").then(JSON.stringify, explain);
    expect(await refusal).toMatch(/not extensible/);
  });

  test("keeps a connection through hours of refreshes", async () => {
    const net = await start({ transport: "memory" });
    await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    const connection = await nsc.request("firewall");
    await net.virtual!.clock.advance(3 * 3_600_000);
    const later = await nsc.request("firewall", connection);
    expect(ids(later)).toEqual(ids(connection));
    expect(later.context).toEqual(connection.context);
    await nsc.close(later);
    expectNoConnections(net);
  });

  test("closes the connection of a killed client when its token expires", async () => {
    const net = await start({ transport: "memory", maxTokenLifetimeMs: 60_000 });
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    await nsc.request("firewall");
    nsc.kill();
    await net.virtual!.clock.advance(30_000);
    expect(Object.keys(nse.debugState())).toContain("begin/server");
    await net.virtual!.clock.advance(31_000);
    expect(Object.keys(nse.debugState())).not.toContain("begin/server");
    expectNoConnections(net);
  });

  test("leaves no resources after a first Request whose answer was lost", async () => {
    const net = await start({ transport: "memory" });
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    net.virtual!.network.faults.dropResponses({ from: "nsc", method: "Request", times: 1 });
    await expect(nsc.request("firewall")).rejects.toMatchObject({ code: Code.Unavailable });
    await net.virtual!.clock.advance(1_000);
    expect(nsc.debugState()).toEqual({});
    expect(Object.keys(nse.debugState())).not.toContain("begin/server");
    expectNoConnections(net);
  });

  test("holds one connection, not two, when a client repeats a Request after a lost answer", async () => {
    const net = await start({ transport: "memory" });
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    const nsc = net.client();
    net.virtual!.network.faults.dropResponses({ from: "forwarder", method: "Request", times: 1 });
    await expect(nsc.request("firewall")).rejects.toMatchObject({ code: Code.Unavailable });
    const connection = await nsc.request("firewall");
    await net.virtual!.clock.advance(1_000);
    expect(nse.debugState()).toMatchObject({ "begin/server": { connections: 1 } });
    await nsc.close(connection);
    expectNoConnections(net);
  });

  test("limits the Requests to an endpoint that stays down", async () => {
    const net = await start({ transport: "memory" });
    const nse = await net.endpoint({ name: "nse", service: "firewall" });
    let tries = 0;
    const nsc = net.client({
      elements: [
        {
          name: "count",
          request: (ctx, request, next) => {
            tries++;
            return next.request(ctx, request);
          },
        },
      ],
    });
    const connection = await nsc.request("firewall");
    await nse.kill();
    await net.virtual!.clock.advance(60_000);
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(100);
    await nsc.close(connection).catch(() => {});
    expect(nsc.debugState()).toEqual({});
  });
});

function waitFor<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

/**
 * Repeats a call until it succeeds. In a real mesh, failures take time; in a virtual one, the helper advances
 * the clock.
 */
async function eventually<T>(net: Mesh, call: () => Promise<T>): Promise<T> {
  let last: unknown;
  for (let i = 0; i < 200; i++) {
    try {
      const result = call();
      result.catch(() => {});
      await net.virtual?.clock.advance(100);
      return await result;
    } catch (error) {
      last = error;
      if (!net.virtual) await new Promise((resolve) => net.clock.after(25, () => resolve(undefined)));
    }
  }
  throw last;
}
