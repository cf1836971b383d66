import { describe, expect, test } from "vitest";
import { State, type Connection } from "../../../src/api/index.js";
import {
  Code,
  eventCause,
  LiveConnections,
  NsmError,
  type EventCause,
  type NetworkServiceElement,
} from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginClient, beginServer } from "../../../src/elements/begin/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { checkContext, failAfter, failOnce, hold, recorder, run } from "../../../src/testing/index.js";
import { captureEvents } from "./kit.js";

/** Fails every call while switched on. */
function failing(): NetworkServiceElement & { on: boolean } {
  const refuse = (): never => {
    throw new NsmError(Code.Unavailable, "switched to fail");
  };
  const element = {
    name: "failing",
    on: false,
    request: async (ctx, request, next) => (element.on ? refuse() : next.request(ctx, request)),
    close: async (ctx, connection, next) => (element.on ? refuse() : next.close(ctx, connection)),
  } as NetworkServiceElement & { on: boolean };
  return element;
}

describe.each([
  ["begin/server", beginServer],
  ["begin/client", beginClient],
])("%s", (_name, begin) => {
  test("runs the calls of one connection one at a time, and those of others in parallel", async () => {
    const tail = hold();
    const seen = recorder();
    const { request, leftovers, close, clock } = run([updatePath({ name: "a" }), begin(), seen, tail]);
    const first = request({ id: "one" });
    const second = request({ id: "one" });
    const other = request({ id: "two" });
    await clock.settle();
    expect(tail.waiting).toBe(2);
    expect(new Set(seen.requests.map(({ connection }) => connection!.id)).size).toBe(2);
    tail.release();
    const one = await second;
    await first;
    const two = await other;
    await close(one);
    await close(two);
    expect(leftovers()).toEqual({});
  });

  test("closes the connection that was established last, whatever the caller passes", async () => {
    const seen = recorder();
    const enrich: NetworkServiceElement = {
      name: "enrich",
      request: async (ctx, request, next) => ({ ...(await next.request(ctx, request)), payload: "IP" }),
    };
    const { request, close } = run([updatePath({ name: "a" }), begin(), seen, enrich]);
    const connection = await request();
    await close({ ...connection, payload: "", labels: { stripped: "yes" } });
    expect(seen.closes).toHaveLength(1);
    expect(seen.closes[0]).toMatchObject({ payload: "IP", labels: {} });
  });

  test("keeps nothing after a failed first Request", async () => {
    const fail = failing();
    const { request, leftovers } = run([updatePath({ name: "a" }), begin(), connectionState(), fail]);
    fail.on = true;
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(leftovers()).toEqual({});
  });

  test("keeps the established connection when a refresh fails", async () => {
    const fail = failing();
    const seen = recorder();
    const { request, close, leftovers } = run([updatePath({ name: "a" }), begin(), seen, fail]);
    const connection = await request();
    fail.on = true;
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
    fail.on = false;
    await close(connection);
    expect(seen.closes).toHaveLength(1);
    expect(leftovers()).toEqual({});
  });

  test("forgets the connection even if the Close fails, and throws the failure", async () => {
    const fail = failing();
    const { request, close, debugState } = run([updatePath({ name: "a" }), begin(), fail]);
    const connection = await request();
    fail.on = true;
    await expect(close(connection)).rejects.toMatchObject({ code: Code.Unavailable });
    expect(debugState()).toEqual({});
  });

  test("accepts the Close of an unknown connection at the end of the path", async () => {
    const seen = recorder();
    const { request, close } = run([updatePath({ name: "a" }), begin(), seen]);
    const connection = await request();
    await close(connection);
    await close(connection);
    expect(seen.closes).toHaveLength(1);
  });

  test("forwards the Close of an unknown connection along its path", async () => {
    const seen = recorder();
    const { close } = run([updatePath({ name: "a" }), begin(), seen]);
    const segments = ["a", "b"].map((name) => ({
      name,
      id: `${name}-1`,
      token: "",
      expires: undefined,
      metrics: {},
    }));
    await close({
      ...(await run([]).request()),
      id: "a-1",
      path: { index: 0, pathSegments: segments },
    } as Connection);
    expect(seen.closes.map(({ id }) => id)).toEqual(["a-1"]);
  });

  test("rejects a connection without an id", async () => {
    const { request } = run([{ name: "update-path" }, begin()]);
    await expect(request({ id: "" })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  test("skips an event whose signal aborted before its turn", async () => {
    const captured = captureEvents();
    const seen = recorder();
    const { request } = run([updatePath({ name: "a" }), begin(), captured, seen]);
    await request();
    await expect(captured.events.request({ signal: AbortSignal.abort() })).resolves.toBe("skipped");
    expect(seen.requests).toHaveLength(1);
  });

  test("repeats the last successful request as an event, each time with the full time limit of the outer Request", async () => {
    const captured = captureEvents();
    const budgets: (number | undefined)[] = [];
    const measure: NetworkServiceElement = {
      name: "measure",
      request: (ctx, request, next) => {
        budgets.push(ctx.remainingMs);
        return next.request(ctx, request);
      },
    };
    const { request, clock, ctx, close, leftovers } = run([
      updatePath({ name: "a" }),
      begin(),
      captured,
      measure,
    ]);
    const connection = await ctx.withTimeout(7_000, (c) => request({}, c));
    await clock.advance(60_000);
    await expect(captured.events.request()).resolves.toBe("done");
    await expect(captured.events.request()).resolves.toBe("done");
    expect(budgets).toEqual([7_000, 7_000, 7_000]);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("gives events the longest time limit of all Requests from outside", async () => {
    const captured = captureEvents();
    const budgets: (number | undefined)[] = [];
    const { request, ctx } = run([
      updatePath({ name: "a" }),
      begin(),
      captured,
      checkContext((c) => void budgets.push(c.remainingMs)),
    ]);
    await ctx.withTimeout(7_000, (c) => request({}, c));
    await ctx.withTimeout(10, (c) => request({}, c));
    await captured.events.request();
    expect(budgets).toEqual([7_000, 10, 7_000]);
  });

  test("aborts a running event when the user closes", async () => {
    const captured = captureEvents();
    const aborted: unknown[] = [];
    let calls = 0;
    const stuck: NetworkServiceElement = {
      name: "stuck",
      request: (ctx, request, next) =>
        ++calls === 1
          ? next.request(ctx, request)
          : new Promise((_, reject) =>
              ctx.signal.addEventListener("abort", () => {
                aborted.push(ctx.signal.reason);
                reject(ctx.signal.reason as Error);
              }),
            ),
    };
    const { request, close, leftovers } = run([updatePath({ name: "a" }), begin(), captured, stuck]);
    const connection = await request();
    const event = captured.events.request();
    const outcome = expect(event).rejects.toMatchObject({ code: Code.Cancelled });
    await Promise.resolve();
    await close(connection);
    await outcome;
    expect(aborted).toHaveLength(1);
    expect(captured.events.closed.aborted).toBe(true);
    expect(leftovers()).toEqual({});
  });

  test("skips events that are queued after a Close", async () => {
    const captured = captureEvents();
    const seen = recorder();
    const { request, close } = run([updatePath({ name: "a" }), begin(), captured, seen]);
    const connection = await request();
    const closing = close(connection);
    await expect(captured.events.request()).resolves.toBe("skipped");
    await expect(captured.events.close()).resolves.toBe("skipped");
    await closing;
    expect(seen.closes).toHaveLength(1);
  });

  test("creates a new connection for a Request that waited for a Close", async () => {
    const seen = recorder();
    const { request, close, leftovers } = run([updatePath({ name: "a" }), begin(), connectionState(), seen]);
    const connection = await request();
    const closing = close(connection);
    const again = request();
    await closing;
    await close(await again);
    expect(seen.closes).toHaveLength(2);
    expect(leftovers()).toEqual({});
  });

  test("delays a Request until a running Close has ended", async () => {
    const order: string[] = [];
    const gate = hold();
    const slowClose: NetworkServiceElement = {
      name: "slow-close",
      request: async (ctx, r, next) => (order.push("request"), next.request(ctx, r)),
      async close(ctx, connection, next) {
        order.push("close begins");
        await gate.close(ctx, connection, next);
        order.push("close ends");
      },
    };
    const { request, close, clock, leftovers } = run([
      updatePath({ name: "a" }),
      begin(),
      connectionState(),
      slowClose,
    ]);
    const connection = await request();
    const closing = close(connection);
    await clock.settle();
    const again = request();
    await clock.settle();
    gate.release();
    await closing;
    await close(await again);
    expect(order).toEqual(["request", "close begins", "close ends", "request", "close begins", "close ends"]);
    expect(leftovers()).toEqual({});
  });

  test("rejects a waiting Request when its deadline expires, and never sends it", async () => {
    const gate = hold();
    const seen = recorder();
    const { request, close, clock, ctx, leftovers } = run([updatePath({ name: "a" }), begin(), seen, gate]);
    const first = request();
    await clock.settle();
    const waiting = ctx.withTimeout(100, (c) => request({}, c));
    const refused = expect(waiting).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await clock.advance(100);
    await refused;
    gate.release();
    const connection = await first;
    await clock.settle();
    expect(seen.requests).toHaveLength(1);
    await close(connection);
    expect(leftovers()).toEqual({});
  });

  test("finishes a Close whose caller stopped waiting, with its own time limit", async () => {
    const gate = hold();
    const remaining: (number | undefined)[] = [];
    const { request, close, clock, ctx, leftovers } = run([
      updatePath({ name: "a" }),
      begin(),
      gate,
      checkContext((c, method) => {
        if (method === "close") remaining.push(c.remainingMs);
      }),
    ]);
    gate.release();
    const connection = await request();
    gate.hold();
    const refresh = request();
    await clock.settle();
    const closing = ctx.withTimeout(100, (c) => close(connection, c));
    const refused = expect(closing).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await clock.advance(100);
    await refused;
    gate.release();
    await refresh;
    await clock.settle();
    expect(remaining).toEqual([100]);
    expect(leftovers()).toEqual({});
  });

  test("gives a Close that waited for its turn the full time limit of its caller", async () => {
    const gate = hold();
    const remaining: (number | undefined)[] = [];
    const seen = checkContext((c, method) => {
      if (method === "close") remaining.push(c.remainingMs);
    });
    const { request, close, clock, ctx, leftovers } = run([updatePath({ name: "a" }), begin(), gate, seen]);
    gate.release();
    const connection = await request();
    gate.hold();
    const refresh = request();
    await clock.settle();
    const closing = ctx.withTimeout(5_000, (c) => close(connection, c));
    await clock.advance(4_999);
    gate.release();
    await refresh;
    await closing;
    expect(remaining).toEqual([5_000]);
    expect(leftovers()).toEqual({});
  });

  test("rejects a Request at once whose caller canceled before it arrived", async () => {
    const gate = hold();
    const { request, close, ctx, clock, leftovers } = run([updatePath({ name: "a" }), begin(), gate]);
    const first = request();
    await clock.settle();
    const gone = new Error("gone");
    await expect(ctx.withSignal(AbortSignal.abort(gone), (c) => request({}, c))).rejects.toBe(gone);
    gate.release();
    await close(await first);
    expect(leftovers()).toEqual({});
  });

  test.each(["close", "reselect"])(
    "leaves nothing in connection-state when an earlier element rejects the Close of a %s",
    async (why) => {
      const captured = captureEvents();
      const { request, close, debugState, leftovers } = run([
        updatePath({ name: "a" }),
        begin(),
        failOnce(Code.PermissionDenied, "close"),
        captured,
        connectionState(),
        failAfter(1, Code.Unavailable),
      ]);
      const connection = await request();
      if (why === "close") {
        await expect(close(connection)).rejects.toMatchObject({ code: Code.PermissionDenied });
      } else {
        const reselect =
          begin === beginClient
            ? captured.events.request({ reselect: true })
            : request({ state: State.RESELECT_REQUESTED });
        await expect(reselect).rejects.toMatchObject({ code: Code.Unavailable });
        expect(debugState()).not.toHaveProperty("connection-state");
        await close(connection);
      }
      expect(leftovers()).toEqual({});
    },
  );

  test("sets the cause of a call", async () => {
    const captured = captureEvents();
    const causes: (EventCause | undefined)[] = [];
    const { request } = run([
      updatePath({ name: "a" }),
      begin(),
      captured,
      checkContext((c) => void causes.push(c.get(eventCause))),
    ]);
    await request();
    await captured.events.request({ cause: "refresh" });
    await captured.events.request();
    await captured.events.close({ cause: "timeout" });
    expect(causes).toEqual(["user", "refresh", "upstream", "timeout"]);
  });

  test("requests the connection with the patch of the event", async () => {
    const captured = captureEvents();
    const seen = recorder();
    const { request } = run([updatePath({ name: "a" }), begin(), captured, seen]);
    await request({ labels: { app: "one" } });
    const patch = (connection: Connection): Connection => ({ ...connection, labels: { app: "two" } });
    await captured.events.request({ patch });
    await captured.events.request();
    expect(seen.requests.map(({ connection }) => connection!.labels["app"])).toEqual(["one", "two", "two"]);
  });

  test("lists the established connections, and requests all of them again", async () => {
    const live = new LiveConnections();
    const seen = recorder();
    const fail = failing();
    const { request, close } = run([updatePath({ name: "a" }), begin({ live }), seen, fail]);
    const one = await request({ id: "one" });
    await request({ id: "two" });
    expect(await live.requestAll()).toEqual({ done: 2, failures: new Map() });
    expect(seen.requests).toHaveLength(4);

    fail.on = true;
    const { done, failures } = await live.requestAll();
    expect([done, failures.size]).toEqual([0, 2]);
    fail.on = false;
    await close(one);
    expect(live.size).toBe(1);
  });

  test("never overlaps calls of one connection in a thousand calls", async () => {
    const active = new Map<string, number>();
    let overlaps = 0;
    const exclusive: NetworkServiceElement = {
      name: "exclusive",
      async request(ctx, request, next) {
        const { id } = request.connection!;
        if (active.has(id)) overlaps++;
        active.set(id, 1);
        await Promise.resolve();
        active.delete(id);
        return next.request(ctx, request);
      },
    };
    const { request, close, leftovers } = run([updatePath({ name: "a" }), begin(), exclusive]);
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, i) => {
        const connection = await request({ id: `c-${i % 20}` });
        await close(connection);
      }),
    );
    expect(overlaps).toBe(0);
    expect(leftovers()).toEqual({});
  });

  test("forwards calls unchanged inside another begin", async () => {
    const { request, debugState } = run([updatePath({ name: "a" }), begin(), begin()]);
    await request();
    expect(debugState()).toEqual({ [begin().name]: { connections: 1 } });
  });
});
