import { describe, expect, test } from "vitest";
import { MonitorScopeSelector, State, type Connection } from "../../../src/api/index.js";
import { Code, Context, NsmError } from "../../../src/core/index.js";
import { connectionUpdate, monitor, type ConnectionChange } from "../../../src/elements/monitor/index.js";
import { downCauseOf } from "../../../src/elements/monitor/index.js";
import { describeElement, failAfter, failOnce } from "../../../src/testing/index.js";
import { INITIAL_STATE_TRANSFER, UPDATE, DELETE, monitored, bySegment, watch } from "./kit.js";

describeElement("monitor", ({ until }) => monitor({ until }).element);

describe("monitor", () => {
  test("tells a subscriber at once what stands, even when that is nothing", async () => {
    const { request, close, service, leftovers } = monitored();
    const early = watch(service);
    expect(early.told).toEqual([[INITIAL_STATE_TRANSFER, {}]]);
    const one = await request({ id: "one" });
    const two = await request({ id: "two" });
    const late = watch(service);
    const ids = [one, two].map(({ path }) => path!.pathSegments[1]!.id);
    expect(late.told).toEqual([
      [INITIAL_STATE_TRANSFER, Object.fromEntries(ids.map((id) => [id, State.UP]))],
    ]);
    early.stop();
    late.stop();
    await close(one);
    await close(two);
    expect(leftovers()).toEqual({});
  });

  test("tells when a connection is made, refreshed and closed", async () => {
    const { request, refresh, close, service } = monitored();
    const watched = watch(service);
    const connection = await request();
    await refresh();
    await close();
    const { id } = connection.path!.pathSegments[1]!;
    expect(watched.told).toEqual([
      [INITIAL_STATE_TRANSFER, {}],
      [UPDATE, { [id]: State.UP }],
      [UPDATE, { [id]: State.UP }],
      [DELETE, { [id]: State.UP }],
    ]);
    // As the caller was answered, but seen from here.
    expect(watched.events[1]!.connections[id]).toEqual({
      ...connection,
      id,
      path: { ...connection.path, index: 1 },
    });
  });

  test("tells each subscriber of what its selector names", async () => {
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

  test("asks only the subscribers that may be meant, however many there are", async () => {
    const { request, close, service, debugState } = monitored();
    let asked = 0;
    const watched = Array.from({ length: 1_000 }, (_, i) => {
      const { pathSegments } = bySegment({ name: "client", id: `id-${i}` });
      return watch(service, {
        selector: {
          pathSegments,
          get networkServices() {
            asked++;
            return [];
          },
        },
      });
    });
    expect(debugState()).toMatchObject({ monitor: { subscribers: 1_000 } });
    asked = 0;
    await request({ id: "id-500" });
    await close();
    expect(asked).toBeLessThan(10);
    expect(watched.filter(({ events }) => events.length > 1)).toHaveLength(1);
    for (const { stop } of watched) stop();
    expect(debugState()).toEqual({});
  });

  test("never shows that a connection was asked for anew", async () => {
    const { request, service, close } = monitored();
    const watched = watch(service);
    await request({ state: State.RESELECT_REQUESTED });
    const shown = watched.events.flatMap(({ connections }) => Object.values(connections));
    expect(shown.map(({ state }) => state)).toEqual([State.UP]);
    await close();
  });

  test("tells that a connection is down when its refresh fails, and up when one succeeds", async () => {
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
    expect(watched.told.slice(1)).toEqual([
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
  ])("says nothing about a connection because %s", async (_, fails, code) => {
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

  test("tells why a connection is down: the hop refused", async () => {
    const { request, close, service } = monitored([failAfter(1, Code.NotFound)]);
    const watched = watch(service);
    await request();
    await expect(request()).rejects.toThrow();
    const down = Object.values(watched.events.at(-1)!.connections)[0]!;
    expect(downCauseOf(down)).toEqual({ reason: "refused", hop: "hop", index: 1 });
    await close();
  });

  test("tells nothing of a first Request that fails", async () => {
    const { request, service } = monitored([failOnce(Code.Unavailable)]);
    const watched = watch(service);
    await expect(request()).rejects.toThrow();
    expect(watched.told).toHaveLength(1);
  });

  test("tells that a connection is gone when its Close fails", async () => {
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
  test("lets an element inside say something about its connection, as long as it stands", async () => {
    let update: ((change: ConnectionChange) => void) | undefined;
    const { request, close, service } = monitored([
      {
        name: "grabbing",
        request(ctx, r, next) {
          update = ctx.get(connectionUpdate);
          // Nothing stands yet.
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
    expect(watched.told.slice(1)).toEqual([
      [UPDATE, { [id]: State.UP }],
      [UPDATE, { [id]: State.REFRESH_REQUESTED }],
      [DELETE, { [id]: State.REFRESH_REQUESTED }],
    ]);
  });
});
