import { describe, expect, test } from "vitest";
import { MonitorScopeSelector, State, type Connection } from "../../../src/api/index.js";
import { Code, Context, NsmError } from "../../../src/core/index.js";
import { connectionUpdate, monitor, type ConnectionChange } from "../../../src/elements/monitor/index.js";
import { downCauseOf } from "../../../src/elements/monitor/marks.js";
import { describeElement, failAfter, failOnce } from "../../../src/testing/index.js";
import { INITIAL_STATE_TRANSFER, UPDATE, DELETE, monitored, bySegment, watch } from "./kit.js";

describeElement("monitor", ({ until }) => monitor({ until }).element);

describe("monitor", () => {
  test("publishes the established connections to a new subscriber at once, even if there are none", async () => {
    const { request, close, service, leftovers } = monitored();
    const early = watch(service);
    expect(early.summary).toEqual([[INITIAL_STATE_TRANSFER, {}]]);
    const one = await request({ id: "one" });
    const two = await request({ id: "two" });
    const late = watch(service);
    const ids = [one, two].map(({ path }) => path!.pathSegments[1]!.id);
    expect(late.summary).toEqual([
      [INITIAL_STATE_TRANSFER, Object.fromEntries(ids.map((id) => [id, State.UP]))],
    ]);
    early.stop();
    late.stop();
    await close(one);
    await close(two);
    expect(leftovers()).toEqual({});
  });

  test("publishes that a connection is established, refreshed and closed", async () => {
    const { request, refresh, close, service } = monitored();
    const watched = watch(service);
    const connection = await request();
    await refresh();
    await close();
    const { id } = connection.path!.pathSegments[1]!;
    expect(watched.summary).toEqual([
      [INITIAL_STATE_TRANSFER, {}],
      [UPDATE, { [id]: State.UP }],
      [UPDATE, { [id]: State.UP }],
      [DELETE, { [id]: State.UP }],
    ]);
    // The answer to the caller, from the view of this hop.
    expect(watched.events[1]!.connections[id]).toEqual({
      ...connection,
      id,
      path: { ...connection.path, index: 1 },
    });
  });

  test("publishes to each subscriber the connections that match its selector", async () => {
    const { request, close, service } = monitored();
    const selectors = [
      bySegment({ name: "client", id: "one" }),
      bySegment({ name: "hop" }),
      bySegment({ name: "nobody" }),
      MonitorScopeSelector.create({ networkServices: ["vpn"] }),
      MonitorScopeSelector.create({ networkServices: ["vpn", "icmp"] }),
    ];
    const watched = selectors.map((selector) => watch(service, { selector }));
    const one = await request({ id: "one" });
    const two = await request({ id: "two", networkService: "vpn" });
    await close(one);
    await close(two);
    const own = (connection: Connection): string => connection.path!.pathSegments[1]!.id;
    const seen = watched.map(({ events }) =>
      events.slice(1).map(
        ({ type, connections }) =>
          `${type === UPDATE ? "+" : "-"}${Object.keys(connections)
            .map((id) => (id === own(one) ? "one" : "two"))
            .join()}`,
      ),
    );
    expect(seen).toEqual([
      ["+one", "-one"],
      ["+one", "+two", "-one", "-two"],
      [],
      ["+two", "-two"],
      ["+one", "+two", "-one", "-two"],
    ]);
    for (const { stop } of watched) stop();
  });

  test("checks only subscribers whose selector may match, however many there are", async () => {
    const { request, close, service, debugState } = monitored();
    let calls = 0;
    const watched = Array.from({ length: 1_000 }, (_, i) => {
      const { pathSegments } = bySegment({ name: "client", id: `id-${i}` });
      return watch(service, {
        selector: {
          pathSegments,
          get networkServices() {
            calls++;
            return [];
          },
        },
      });
    });
    expect(debugState()).toMatchObject({ monitor: { subscribers: 1_000 } });
    calls = 0;
    await request({ id: "id-500" });
    await close();
    expect(calls).toBeLessThan(10);
    expect(watched.filter(({ events }) => events.length > 1)).toHaveLength(1);
    for (const { stop } of watched) stop();
    expect(debugState()).toEqual({});
  });

  test("never publishes RESELECT_REQUESTED", async () => {
    const { request, service, close } = monitored();
    const watched = watch(service);
    await request({ state: State.RESELECT_REQUESTED });
    const shown = watched.events.flatMap(({ connections }) => Object.values(connections));
    expect(shown.map(({ state }) => state)).toEqual([State.UP]);
    await close();
  });

  test("publishes DOWN when a refresh fails, and UP when one succeeds", async () => {
    let failing = false;
    const { request, close, service } = monitored([
      {
        name: "failing",
        request: (ctx, r, next) => (failing ? Promise.reject(new Error("no")) : next.request(ctx, r)),
      },
    ]);
    const watched = watch(service);
    const { path } = await request();
    failing = true;
    await expect(request()).rejects.toThrow("no");
    failing = false;
    await request();
    await close();
    const { id } = path!.pathSegments[1]!;
    expect(watched.summary.slice(1)).toEqual([
      [UPDATE, { [id]: State.UP }],
      [UPDATE, { [id]: State.DOWN }],
      [UPDATE, { [id]: State.UP }],
      [DELETE, { [id]: State.UP }],
    ]);
  });

  test.each([
    ["its caller cancels the refresh", (ctx: Context) => ctx.signal.aborted, Code.Cancelled],
    ["the refresh takes too long", (ctx: Context) => ctx.signal.aborted, Code.DeadlineExceeded],
    ["what it needs for a refresh is away", () => true, Code.Unavailable],
  ])("publishes nothing about a connection because %s", async (_, fails, code) => {
    let failing = false;
    const { request, close, service, ctx } = monitored([
      {
        name: "failing",
        request: async (c, r, next) => {
          if (failing && fails(c)) throw new NsmError(code, "not now");
          return next.request(c, r);
        },
      },
    ]);
    await request();
    const watched = watch(service);
    failing = true;
    const given = new AbortController();
    given.abort(new NsmError(code, "the caller's own will"));
    await ctx.withSignal(given.signal, (c) => request({}, c)).catch(() => {});
    expect(watched.events).toHaveLength(1);
    watched.stop();
    await close();
  });

  test("publishes why a connection is down: the hop rejected it", async () => {
    const { request, close, service } = monitored([failAfter(1, Code.NotFound)]);
    const watched = watch(service);
    await request();
    await expect(request()).rejects.toThrow();
    const down = Object.values(watched.events.at(-1)!.connections)[0]!;
    expect(downCauseOf(down)).toEqual({ reason: "refused", hop: "hop", index: 1 });
    await close();
  });

  test("publishes nothing for a failed first Request", async () => {
    const { request, service } = monitored([failOnce(Code.Unavailable)]);
    const watched = watch(service);
    await expect(request()).rejects.toThrow();
    expect(watched.summary).toHaveLength(1);
  });

  test("publishes the deletion of a connection even if its Close fails", async () => {
    const { request, close, service, leftovers } = monitored([failOnce(Code.Unavailable, "close")]);
    const subscriber = watch(service);
    await request();
    await expect(close()).rejects.toThrow();
    expect(subscriber.events.at(-1)?.type).toBe(DELETE);
    subscriber.stop();
    expect(leftovers()).toEqual({});
  });

  test("ends its streams with the program", async () => {
    const program = new AbortController();
    const { service, request, leftovers, close } = monitored([], { until: program.signal });
    const subscriber = watch(service);
    await request();
    program.abort();
    expect(subscriber.ended).toBe(true);
    expect(watch(service)).toMatchObject({ ended: true, events: [] });
    await close();
    expect(leftovers()).toEqual({});
  });
});

describe("connectionUpdate", () => {
  test("lets a later element publish a change of its connection while it is established", async () => {
    let update: ((change: ConnectionChange) => void) | undefined;
    const { request, close, service } = monitored([
      {
        name: "capturing",
        request(ctx, r, next) {
          update = ctx.get(connectionUpdate);
          // No connection is established yet.
          update!({ state: State.DOWN });
          return next.request(ctx, r);
        },
      },
    ]);
    const watched = watch(service);
    const { path } = await request();
    update!({ state: State.REFRESH_REQUESTED });
    await close();
    update!({ state: State.REFRESH_REQUESTED });
    const { id } = path!.pathSegments[1]!;
    expect(watched.summary.slice(1)).toEqual([
      [UPDATE, { [id]: State.UP }],
      [UPDATE, { [id]: State.REFRESH_REQUESTED }],
      [DELETE, { [id]: State.REFRESH_REQUESTED }],
    ]);
  });
});
