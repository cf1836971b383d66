import { Subject } from "rxjs";
import { describe, expect, test } from "vitest";
import {
  ConnectionContext,
  ConnectionEventType,
  IPContext,
  MonitorScopeSelector,
  PathSegment,
  pathOf,
  State,
  type Connection,
  type ConnectionEvent,
} from "../../../src/api/index.js";
import {
  Code,
  Context,
  NsmError,
  peer,
  type Remote,
  type MonitorConnection,
  type NetworkServiceElement,
} from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { nextRemote } from "../../../src/elements/dial/index.js";
import {
  connectionUpdate,
  monitor,
  type ConnectionChange,
  type MonitorOptions,
} from "../../../src/elements/monitor/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { insecureTokens } from "../../../src/identity/index.js";
import {
  downCauseOf,
  requestMark,
  withDownReason,
  type MonitorHub,
  type OwnSegment,
  type Observation,
} from "../../../src/elements/monitor/index.js";
import {
  describeElement,
  failAfter,
  failOnce,
  run,
  sampleConnection,
  type Run,
} from "../../../src/testing/index.js";

const { INITIAL_STATE_TRANSFER, UPDATE, DELETE } = ConnectionEventType;

describeElement("monitor", ({ until }) => monitor({ until }).element);

type Monitored = Run & { service: MonitorConnection };

function monitored(behind: NetworkServiceElement[] = [], options: Partial<MonitorOptions> = {}): Monitored {
  const { element, service } = monitor({ until: new AbortController().signal, ...options });
  const chain = run([updatePath({ name: "hop" }), beginServer(), connectionState(), element, ...behind]);
  return { ...chain, service };
}

const bySegment = (patch: Partial<PathSegment>): MonitorScopeSelector =>
  MonitorScopeSelector.create({ pathSegments: [PathSegment.create(patch)] });

/** Everything a subscriber is told. */
function watch(
  service: MonitorConnection,
  { selector = MonitorScopeSelector.create(), ctx = Context.background() } = {},
): { events: readonly ConnectionEvent[]; told: unknown[]; ended: boolean; stop(): void } {
  const events: ConnectionEvent[] = [];
  let ended = false;
  const subscription = service.monitorConnections(ctx, selector).subscribe({
    next: (event) => events.push(event),
    complete: () => (ended = true),
  });
  return {
    events,
    get ended() {
      return ended;
    },
    /** Type, and the states of the connections by id. */
    get told() {
      return events.map(({ type, connections }) => [
        type,
        Object.fromEntries(Object.entries(connections).map(([id, { state }]) => [id, state])),
      ]);
    },
    stop: () => subscription.unsubscribe(),
  };
}

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

describe("monitor and who may see what", () => {
  const tokenOf = (subject: string): string => insecureTokens({ subject })(undefined).token;
  const as = (ctx: Context, spiffeId?: string): Context =>
    ctx.with(peer, { address: "", local: true, spiffeId });

  async function shownTo(
    spiffeId: string | undefined,
    options: Partial<MonitorOptions> = {},
  ): Promise<unknown> {
    const { request, service, ctx, close, clock } = monitored([], options);
    const viewer = as(ctx, spiffeId);
    const before = watch(service, { ctx: viewer });
    const { path } = sampleConnection(clock.now(), { id: "by-token" });
    const [segment] = path!.pathSegments;
    const connections = [
      await request({ id: "of-a" }, as(ctx, "spiffe://test/a")),
      await request({ id: "of-b" }, as(ctx, "spiffe://test/b")),
      await request({
        id: "by-token",
        path: { ...path!, pathSegments: [{ ...segment!, token: tokenOf("spiffe://test/a") }] },
      }),
      await request({ id: "of-nobody" }),
    ];
    const after = watch(service, { ctx: viewer });
    const names = ({ events }: { events: readonly ConnectionEvent[] }): string[] =>
      events.flatMap((event) =>
        Object.values(event.connections).map(({ path: p }) => p!.pathSegments[0]!.id),
      );
    const shown = names(after);
    expect(names(before)).toEqual(shown);
    for (const connection of connections) await close(connection);
    return shown;
  }

  test("a caller with an identity sees the connections that it asked for, by certificate or token", async () => {
    expect(await shownTo("spiffe://test/a")).toEqual(["of-a", "by-token"]);
    expect(await shownTo("spiffe://test/b")).toEqual(["of-b"]);
    expect(await shownTo("spiffe://test/c")).toEqual([]);
  });

  test("a connection stays its owner's whatever is told about it", async () => {
    const { request, service, ctx, close, clock } = monitored([failAfter(1, Code.Internal)]);
    const watched = watch(service, { ctx: as(ctx, "spiffe://test/a") });
    const { path } = sampleConnection(clock.now());
    const pathSegments = [{ ...path!.pathSegments[0]!, token: tokenOf("spiffe://test/a") }];
    const ask = (): Promise<Connection> =>
      request({ path: { ...path!, pathSegments } }, as(ctx, "spiffe://test/a"));
    await ask();
    await expect(ask()).rejects.toMatchObject({ code: Code.Internal });
    await close();
    expect(watched.events.map(({ type }) => type)).toEqual([INITIAL_STATE_TRANSFER, UPDATE, UPDATE, DELETE]);
    watched.stop();
  });

  test("a caller without identity sees all, and so does everybody when told so", async () => {
    const all = ["of-a", "of-b", "by-token", "of-nobody"];
    expect(await shownTo(undefined)).toEqual(all);
    expect(await shownTo("spiffe://test/c", { showAll: true })).toEqual(all);
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

describe("monitor and the next hop", () => {
  const mtu = (MTU: number): ConnectionContext =>
    ConnectionContext.create({ MTU, ipContext: IPContext.create() });

  /** A hub that says what the test tells it. */
  function fakeHub(): MonitorHub & {
    followed: { remote: Remote; segment: OwnSegment; says: Subject<Observation> }[];
    following: number;
    say(s: Observation): void;
  } {
    const hub = {
      followed: [] as { remote: Remote; segment: OwnSegment; says: Subject<Observation> }[],
      follow(_ctx: Context, remote: Remote, segment: OwnSegment) {
        const says = new Subject<Observation>();
        hub.followed.push({ remote, segment, says });
        return says;
      },
      say: (observation: Observation) => hub.followed.at(-1)!.says.next(observation),
      get following() {
        return hub.followed.filter(({ says }) => says.observed).length;
      },
      debugState: () => ({}),
    };
    return hub;
  }

  /** The next hop as dial and connect bring it in. */
  function nextHop(): NetworkServiceElement & { remote: Remote; context: ConnectionContext } {
    const hop = {
      name: "next-hop",
      remote: { url: "tcp://next:1" } as Remote,
      context: mtu(1_500),
      async request(ctx, r, next) {
        const response = await next.request(ctx, r);
        nextRemote.set(ctx, hop.remote);
        const { index, pathSegments } = pathOf(response);
        const segments = [
          ...pathSegments.slice(0, index + 1),
          PathSegment.create({ name: "next", id: "next" }),
        ];
        return { ...response, context: hop.context, path: { ...response.path!, pathSegments: segments } };
      },
    } as NetworkServiceElement & { remote: Remote; context: ConnectionContext };
    return hop;
  }

  /** Our connection as the next hop has it. */
  const theirs = (own: Connection, patch: Partial<Connection> = {}): Connection => ({
    ...own,
    id: "next",
    labels: { theirs: "yes" },
    path: { ...own.path!, index: 2 },
    ...patch,
  });

  function relaying(...behind: NetworkServiceElement[]): Monitored & {
    hub: ReturnType<typeof fakeHub>;
    hop: ReturnType<typeof nextHop>;
    seen: () => Connection[];
  } {
    const hub = fakeHub();
    const hop = nextHop();
    const chain = monitored([...behind, hop], { hub });
    const watched = watch(chain.service, { selector: bySegment({ name: "hop" }) });
    const seen = (): Connection[] =>
      watched.events.slice(1).flatMap(({ connections }) => Object.values(connections));
    return { ...chain, hub, hop, seen };
  }

  test("is followed by our segment once the connection stands, and until it is closed", async () => {
    const { request, close, hub, hop, debugState } = relaying();
    const connection = await request();
    const { id } = connection.path!.pathSegments[1]!;
    expect(hub.followed).toMatchObject([{ remote: hop.remote, segment: { index: 1, name: "hop", id } }]);
    expect(debugState()).toMatchObject({ monitor: { relays: 1 } });
    await close();
    expect(hub.following).toBe(0);
    expect(debugState()).toEqual({ monitor: { subscribers: 1, keys: 1 } });
  });

  test("is told on: path, context and state, seen from here", async () => {
    const { request, close, hub, seen } = relaying();
    await request();
    const own = seen()[0]!;
    hub.say({ connection: theirs(own, { context: mtu(1_400) }), state: State.REFRESH_REQUESTED });
    expect(seen()[1]).toEqual({ ...own, context: mtu(1_400), state: State.REFRESH_REQUESTED });
    hub.say({ connection: theirs(own), state: State.DOWN });
    expect(seen()[2]).toEqual({ ...own, state: State.DOWN });
    hub.say({ connection: undefined, state: State.DOWN });
    hub.say({ connection: theirs(own), state: State.DOWN });
    expect(seen()).toHaveLength(3);
    await close();
    expect(seen()).toHaveLength(4);
  });

  test("cannot speak about other connections of those before us", async () => {
    const { request, close, hub, seen, service } = relaying();
    await request();
    const own = seen()[0]!;
    const foreign = watch(service, { selector: bySegment({ id: "foreign" }) });
    const [first, , next] = own.path!.pathSegments;
    const forged = ["foreign", "foreign"].map((id) => PathSegment.create({ name: first!.name, id }));
    const path = { ...own.path!, index: 2, pathSegments: [...forged, next!] };
    hub.say({ connection: theirs(own, { path }), state: State.DOWN });
    expect(seen()[1]).toEqual({ ...own, state: State.DOWN });
    expect(foreign.told).toEqual([[INITIAL_STATE_TRANSFER, {}]]);
    foreign.stop();
    await close();
  });

  test("is not told on when it says nothing new", async () => {
    const { request, close, hub, seen } = relaying();
    await request();
    hub.say({ connection: theirs(seen()[0]!), state: State.UP });
    expect(seen()).toHaveLength(1);
    await close();
  });

  test("is found by its name as long as the connection goes there", async () => {
    const { request, close, hub, service, seen } = relaying();
    await request();
    const [, ours] = seen()[0]!.path!.pathSegments;
    const selector = bySegment({ name: "next" });
    const before = watch(service, { selector });
    expect(Object.keys(before.events[0]!.connections)).toEqual([ours!.id]);
    const moved = theirs(seen()[0]!);
    const elsewhere = moved.path!.pathSegments.with(2, PathSegment.create({ name: "other", id: "other" }));
    hub.say({ connection: { ...moved, path: { index: 2, pathSegments: elsewhere } }, state: State.UP });
    const after = watch(service, { selector });
    expect(after.told).toEqual([[INITIAL_STATE_TRANSFER, {}]]);
    expect(
      Object.keys(watch(service, { selector: bySegment({ name: "other" }) }).events[0]!.connections),
    ).toEqual([ours!.id]);
    await close();
  });

  test("is followed by one subscription over all refreshes", async () => {
    const { request, refresh, close, hub } = relaying();
    await request();
    await refresh();
    await refresh();
    expect(hub.followed).toHaveLength(1);
    await close();
  });

  test("says in time of a refresh what counts after it", async () => {
    const spoken: ((own: Connection) => void)[] = [];
    const { request, refresh, close, hub, seen } = relaying({
      name: "meanwhile",
      async request(ctx, r, next) {
        spoken.shift()?.(r.connection!);
        return next.request(ctx, r);
      },
    });
    await request();
    spoken.push((own) => {
      hub.say({ connection: theirs(own), state: State.DOWN });
      hub.say({ connection: theirs(own), state: State.UP });
    });
    await refresh();
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP]);
    // An event may overtake the answer.
    spoken.push((own) => hub.say({ connection: theirs(own), state: State.DOWN }));
    await refresh();
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP, State.UP, State.DOWN]);
    await close();
  });

  test("is not heard when it speaks of what the connection was before", async () => {
    const { request, refresh, close, hub, seen } = relaying();
    await request();
    const before = theirs(seen()[0]!);
    const mark = requestMark(before.path!.pathSegments[1]);
    await refresh();
    hub.say({ connection: before, state: State.DOWN, mark });
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP]);
    const now = theirs(seen()[1]!);
    hub.say({ connection: now, state: State.DOWN, mark: requestMark(now.path!.pathSegments[1]) });
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.UP, State.DOWN]);
    await close();
  });

  test("is told on with the reason why it is down, in the segment of who noticed", async () => {
    const { request, refresh, close, hub, seen } = relaying();
    await request();
    const cause = { reason: "unreachable", hop: "hop", index: 1 } as const;
    hub.say({ connection: undefined, state: State.DOWN, cause, lost: true });
    expect(downCauseOf(seen().at(-1)!)).toEqual(cause);
    await refresh();
    expect(downCauseOf(seen().at(-1)!)).toBeUndefined();
    const further = withDownReason(theirs(seen()[0]!), "closed");
    hub.say({ connection: further, state: State.DOWN, cause: downCauseOf(further) });
    expect(downCauseOf(seen().at(-1)!)).toEqual({ reason: "closed", hop: "next", index: 2 });
    await close();
  });

  test("is followed anew when it was lost, and when the connection goes another way", async () => {
    const { request, refresh, close, hub, hop } = relaying();
    await request();
    hub.say({ connection: undefined, state: State.DOWN, lost: true });
    await refresh();
    expect(hub.followed).toHaveLength(2);
    hop.remote = { url: "tcp://other:1" } as Remote;
    await refresh();
    expect(hub.followed.map(({ remote }) => remote.url)).toEqual([
      "tcp://next:1",
      "tcp://next:1",
      "tcp://other:1",
    ]);
    expect(hub.following).toBe(1);
    await close();
    expect(hub.following).toBe(0);
  });

  test("is still followed when a refresh fails", async () => {
    const { request, close, hub, seen } = relaying(failAfter(1, Code.Unavailable));
    await request();
    await expect(request()).rejects.toThrow();
    expect(hub.following).toBe(1);
    hub.say({ connection: theirs(seen()[0]!), state: State.UP });
    expect(seen().map(({ state }) => state)).toEqual([State.UP]);
    hub.say({ connection: theirs(seen()[0]!), state: State.DOWN });
    expect(seen().map(({ state }) => state)).toEqual([State.UP, State.DOWN]);
    await close();
  });

  test("is not followed where the connection ends, and not after the program", async () => {
    const hub = fakeHub();
    const ending = monitored([], { hub });
    await ending.request();
    expect(hub.followed).toEqual([]);
    await ending.close();

    const program = new AbortController();
    const { request, debugState } = monitored([nextHop()], { hub, until: program.signal });
    await request({ id: "one" });
    expect(hub.following).toBe(1);
    program.abort();
    expect(hub.following).toBe(0);
    await request({ id: "two" });
    expect(hub.followed).toHaveLength(1);
    expect(debugState()).toMatchObject({ monitor: { connections: 2 } });
  });
});
