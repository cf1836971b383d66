import { Subject } from "rxjs";
import { describe, expect, test } from "vitest";
import { fromTimestamp, pathOf, State, type Connection } from "../../../src/api/index.js";
import { Code, codeOf, explain, logger, silent } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginClient } from "../../../src/elements/begin/index.js";
import { heal } from "../../../src/elements/heal/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { describeElement } from "../../../src/testing/index.js";
import { fakeHub, dialled, lost, setUp } from "./kit.js";

describeElement("heal", ({ until }) => heal({ hub: fakeHub(), until }), {
  before: [updatePath({ name: "nsc" }), beginClient(), connectionState()],
  behind: [dialled(() => false)],
});

/** Collects uncaught exceptions in place of the test runner. */
function uncaught(): { stop(): Promise<string[]> } {
  const seen: string[] = [];
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", ({ message }) => seen.push(message));
  return {
    async stop() {
      await new Promise((resolve) => setImmediate(resolve));
      process.removeAllListeners("uncaughtException");
      for (const other of others) process.on("uncaughtException", other);
      return seen;
    },
  };
}

describe("heal", () => {
  test("requests the same endpoint again before it closes anything", async () => {
    const { request, close, hub, seen, clock, leftovers } = setUp();
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    hub.lose();
    await clock.settle();
    expect(seen.closes).toHaveLength(0);
    expect(seen.requests[1]!.connection).toMatchObject({
      networkServiceEndpointName: "nse-1",
      state: State.UP,
    });
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("requests any endpoint when the current one does not answer, without a liveness check", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp();
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    hop.code = Code.Unavailable;
    hub.lose(lost.endpoint);
    await clock.settle();
    expect(seen.closes).toHaveLength(1);
    expect(seen.requests.at(-1)!.connection).toMatchObject({
      networkServiceEndpointName: "",
      state: State.RESELECT_REQUESTED,
    });
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("selects another endpoint at once if the lost one is no longer registered, even if its interface answers", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp({
      liveness: { check: async () => true, intervalMs: 600_000 },
    });
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    hop.code = Code.NotFound;
    hub.lose(lost.endpoint);
    await clock.settle();
    expect(seen.requests.map((r) => r.connection!.networkServiceEndpointName)).toEqual([
      "nse-1",
      "nse-1",
      "",
    ]);
    expect(seen.closes).toHaveLength(1);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["packets pass", { liveness: { check: async () => true, intervalMs: 600_000 } }],
    ["nothing tells about packets", {}],
  ])("keeps everything for one hour while the next hop is unreachable and %s", async (_, options) => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp(options);
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    hop.away = true;
    hub.lose(lost.nsmgr);
    await clock.advance(3_600_000);
    hop.away = false;
    // The next hop is back, but does not know all connections yet.
    hop.code = Code.NotFound;
    await clock.advance(14_000);
    expect(hop.tries).toBeGreaterThan(1);
    hop.code = undefined;
    await clock.advance(3_000);
    expect(new Set(seen.requests.map((r) => r.connection!.networkServiceEndpointName))).toEqual(
      new Set(["nse-1"]),
    );
    expect(seen.closes).toHaveLength(0);
    expect(hub.followers).toBe(1);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("keeps an endpoint behind a lost hop while packets pass and tokens are valid", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp({
      liveness: { check: async () => true, intervalMs: 600_000 },
    });
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    const { expires } = pathOf(connection).pathSegments[0]!;
    hop.code = Code.NotFound;
    hub.lose(lost.forwarder);
    await clock.advance(fromTimestamp(expires!) - clock.now());
    expect(seen.requests.at(-1)!.connection!.networkServiceEndpointName).toBe("nse-1");
    expect(seen.closes).toHaveLength(0);
    // From now on, the hops close the connection themselves.
    await clock.advance(8_000);
    expect(seen.requests.at(-1)!.connection!.networkServiceEndpointName).toBe("");
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("closes nothing for a dead data plane while the next hop is unreachable", async () => {
    let alive = true;
    const { request, close, hop, seen, clock, leftovers } = setUp({
      liveness: { check: async () => alive },
    });
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    // The whole network of this node is down for a short time.
    [alive, hop.away] = [false, true];
    await clock.advance(30_000);
    [alive, hop.away] = [true, false];
    await clock.advance(5_000);
    expect(seen.requests.at(-1)!.connection!.networkServiceEndpointName).toBe("nse-1");
    expect(seen.closes).toHaveLength(0);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("reports what was lost, and which hop detected it", async () => {
    const reported: unknown[] = [];
    const { request, close, hub, clock } = setUp({
      onHealing: ({ id }, loss, cause) => reported.push([id, loss, cause]),
    });
    const connection = await request();
    hub.lose(lost.endpoint);
    await clock.settle();
    expect(reported).toEqual([[pathOf(connection).pathSegments[1]!.id, "control plane", lost.endpoint]]);
    await close(connection);
  });

  test("reports each failure that it waits after, but not a try that another endpoint follows at once", async () => {
    const reported: [string, Code, string][] = [];
    const { request, close, hub, hop, clock } = setUp({
      onFailure: ({ id }, error) => reported.push([id, codeOf(error), explain(error)]),
    });
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    const { id } = pathOf(connection).pathSegments[1]!;
    hop.code = Code.NotFound;
    hub.lose(lost.endpoint);
    await clock.settle();
    expect(hop.tries).toBe(3);
    expect(reported).toEqual([[id, Code.NotFound, "not now"]]);
    hop.code = undefined;
    await clock.advance(20_000);
    expect(reported).toHaveLength(1);

    hop.away = true;
    hub.lose(lost.nsmgr);
    await clock.settle();
    expect(reported.at(-1)).toEqual([id, Code.Unavailable, "nobody listens there"]);
    hop.away = false;
    await clock.advance(20_000);
    const before = reported.length;
    await close(connection);
    await clock.advance(20_000);
    expect(reported).toHaveLength(before);
  });

  test("heals although its callbacks throw, and reports what they throw as uncaught", async () => {
    const thrown = uncaught();
    const { request, close, hub, hop, seen, clock, leftovers } = setUp({
      onHealing() {
        throw new Error("onHealing");
      },
      onFailure() {
        throw new Error("onFailure");
      },
    });
    const connection = await request();
    hop.away = true;
    hub.lose(lost.nsmgr);
    await clock.advance(1);
    hop.away = false;
    await clock.advance(2_000);
    expect(seen.requests).toHaveLength(2);
    expect(await thrown.stop()).toEqual(["onHealing", "onFailure"]);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("watches again after it has healed", async () => {
    const { request, close, hub, seen, clock, leftovers } = setUp();
    const connection = await request();
    for (let round = 0; round < 3; round++) {
      hub.lose();
      await clock.advance(20_000);
    }
    expect(seen.requests).toHaveLength(4);
    expect(hub.followers).toBe(1);
    await close(connection);
    expect(hub.followers).toBe(0);
    expect(leftovers()).toEqual({});
  });

  test("increases its delays when connections are lost again soon, and resets them after a while", async () => {
    const { request, close, hub, seen, clock, leftovers } = setUp();
    const connection = await request();
    for (let i = 0; i < 6_000; i++) {
      hub.lose();
      await clock.advance(10);
    }
    expect(seen.requests.length).toBeLessThan(45);
    await clock.advance(20_000);
    const requestsBefore = seen.requests.length;
    hub.lose();
    await clock.settle();
    expect(seen.requests).toHaveLength(requestsBefore + 1);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("retries with growing delays until it succeeds, and closes only once", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp();
    const connection = await request();
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(60_000);
    const tries = hop.tries;
    expect(tries).toBeLessThan(45);
    hop.code = undefined;
    await clock.advance(2_000);
    expect(hop.tries).toBe(tries + 1);
    expect(seen.closes).toHaveLength(1);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("logs why it cannot heal, once per reason", async () => {
    const { request, ctx, hub, hop, clock, program } = setUp();
    const errors: string[] = [];
    const info = (fields: object) => "error" in fields && errors.push(String(fields.error));
    await request({}, ctx.with(logger, { ...silent, info }));
    hop.code = Code.NotFound;
    hub.lose();
    await clock.advance(30_000);
    hop.code = Code.ResourceExhausted;
    hop.reason = "no address is left";
    await clock.advance(30_000);
    expect(errors).toEqual(["not now", "no address is left"]);
    program.abort();
  });

  test("stops at once when the user closes during a delay", async () => {
    const { request, close, hub, hop, clock, leftovers } = setUp();
    const connection = await request();
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(10_000);
    await close(connection);
    await clock.settle();
    expect(leftovers()).toEqual({});
    const { tries } = hop;
    await clock.advance(60_000);
    expect(hop.tries).toBe(tries);
  });

  test("stops when the program ends", async () => {
    const { request, hub, hop, program, clock } = setUp();
    await request();
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(1_000);
    program.abort();
    await clock.settle();
    expect(clock.timers).toBe(0);
  });

  test("retries at once when wake emits", async () => {
    const wake = new Subject<void>();
    const { request, close, hub, hop, clock, leftovers } = setUp({ wake: () => wake });
    const connection = await request();
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(60_000);
    hop.code = undefined;
    const { tries } = hop;
    wake.next();
    await clock.settle();
    expect(hop.tries).toBe(tries + 1);
    expect(wake.observed).toBe(false);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("keeps the endpoint while packets pass, and selects another when they do not", async () => {
    let alive = true;
    const { request, close, hub, hop, seen, clock, leftovers } = setUp({
      liveness: { check: async () => alive, intervalMs: 600_000 },
    });
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(1_000);
    const kept = seen.requests.slice(1).map((r) => r.connection!.networkServiceEndpointName);
    expect(new Set(kept)).toEqual(new Set(["nse-1"]));
    expect(seen.closes).toHaveLength(0);
    alive = false;
    await clock.advance(5_000);
    expect(seen.requests.at(-1)!.connection!.networkServiceEndpointName).toBe("");
    expect(seen.closes).toHaveLength(1);
    hop.code = undefined;
    await clock.advance(5_000);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("selects another endpoint if the process behind an answering interface is gone", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp({
      liveness: { check: async () => true, intervalMs: 600_000 },
      keepEndpointMs: 4_000,
    });
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(3_000);
    expect(seen.requests.at(-1)!.connection!.networkServiceEndpointName).toBe("nse-1");
    await clock.advance(4_000);
    expect(seen.requests.at(-1)!.connection!.networkServiceEndpointName).toBe("");
    hop.code = undefined;
    await clock.advance(4_000);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("detects that packets no longer pass", async () => {
    let alive = true;
    const lost: [Connection, string][] = [];
    const { request, close, seen, clock, leftovers } = setUp({
      liveness: { check: async () => alive },
      onHealing: (connection, loss) => lost.push([connection, loss]),
    });
    const connection = await request();
    await clock.advance(10_000);
    expect(seen.requests).toHaveLength(1);
    alive = false;
    await clock.advance(200);
    expect(lost.map(([, loss]) => loss)).toEqual(["data plane"]);
    alive = true;
    await clock.advance(200);
    expect(seen.requests).toHaveLength(2);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test.each([false, true])(
    "detects it when a refresh comes first (onceAnswered: %s)",
    async (onceAnswered) => {
      let alive = true;
      const losses: string[] = [];
      const { request, close, clock, leftovers } = setUp({
        liveness: { check: async () => alive, onceAnswered },
        onHealing: (_connection, loss) => losses.push(loss),
      });
      const connection = await request();
      await clock.advance(10_000);
      alive = false;
      // Each time before the next check.
      for (let i = 0; i < 20; i++) {
        await clock.advance(100);
        await request();
      }
      expect(losses).toContain("data plane");
      await close(connection);
      expect(leftovers()).toEqual({});
    },
  );

  test("can ignore failed checks until the first successful one", async () => {
    let alive = false;
    const lost: string[] = [];
    const { request, close, clock, leftovers } = setUp({
      liveness: { check: async () => alive, onceAnswered: true },
      onHealing: (_connection, loss) => lost.push(loss),
    });
    const connection = await request();
    await clock.advance(10_000);
    expect(lost).toEqual([]);
    alive = true;
    await clock.advance(200);
    alive = false;
    await clock.advance(200);
    expect(lost).toEqual(["data plane"]);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("treats a liveness check that times out as failed", async () => {
    const lost: string[] = [];
    const { request, close, clock, leftovers } = setUp({
      liveness: {
        check: (ctx) =>
          new Promise((_, reject) =>
            ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason as Error), { once: true }),
          ),
        timeoutMs: 300,
      },
      onHealing: (_connection, loss) => lost.push(loss),
    });
    const connection = await request();
    await clock.advance(200 + 299);
    expect(lost).toEqual([]);
    await clock.advance(1);
    expect(lost).toEqual(["data plane"]);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("continues to watch the established connection when a refresh fails", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp();
    const connection = await request();
    hop.code = Code.Unavailable;
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(hub.followers).toBe(1);
    hop.code = undefined;
    hub.lose();
    await clock.settle();
    expect(seen.requests).toHaveLength(3);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("stops healing when the user's own Request succeeds first", async () => {
    const { request, close, hub, hop, seen, clock, leftovers } = setUp();
    const connection = await request();
    hop.code = Code.Unavailable;
    hub.lose();
    await clock.advance(30_000);
    hop.code = undefined;
    const requestsBefore = seen.requests.length;
    await request();
    await clock.advance(60_000);
    expect(seen.requests).toHaveLength(requestsBefore + 1);
    await close(connection);
    expect(leftovers()).toEqual({});
  });
});
