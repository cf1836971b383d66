import { getEventListeners } from "node:events";
import { NEVER, Observable, Subject, type Subscription } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  Connection,
  ConnectionEvent,
  ConnectionEventType,
  Path,
  PathSegment,
  State,
  type MonitorScopeSelector,
} from "../../../src/api/index.js";
import {
  Code,
  Context,
  logger,
  NsmError,
  silent,
  type Remote,
  type Logger,
} from "../../../src/core/index.js";
import { MAX_CONNECTIONS } from "../../../src/inbound/index.js";
import {
  markRequest,
  monitorHub,
  requestMark,
  withDownReason,
  type MonitorHub,
  type Observation,
} from "../../../src/elements/monitor/index.js";
import { virtualClock, type VirtualClock } from "../../../src/testing/index.js";

const { INITIAL_STATE_TRANSFER, UPDATE, DELETE } = ConnectionEventType;
const unavailable = new NsmError(Code.Unavailable, "the server is gone");
const denied = new NsmError(Code.PermissionDenied, "not for you");

/** A next hop of which only the monitor is there. */
class FakePeer {
  readonly streams: { readonly selector: MonitorScopeSelector; readonly events: Subject<ConnectionEvent> }[] =
    [];
  /** What the next subscriptions fail with. */
  refusals: NsmError[] = [];
  /** How many streams are open. */
  open = 0;

  readonly remote = {
    url: "tcp://peer:5001",
    monitor: {
      monitorConnections: (_ctx: Context, selector: MonitorScopeSelector) =>
        new Observable<ConnectionEvent>((subscriber) => {
          const events = new Subject<ConnectionEvent>();
          this.streams.push({ selector, events });
          this.open++;
          events.subscribe(subscriber);
          const refusal = this.refusals.shift();
          if (refusal) subscriber.error(refusal);
          return () => void this.open--;
        }),
    },
  } as unknown as Remote;

  /** Tells the subscribers of the newest stream. */
  tell(type: ConnectionEventType, ...connections: Connection[]): void {
    const byId = Object.fromEntries(connections.map((connection) => [connection.id, connection]));
    this.streams.at(-1)!.events.next(ConnectionEvent.create({ type, connections: byId }));
  }

  get selectors(): unknown[] {
    return this.streams.map(({ selector }) => selector.pathSegments.map(({ name, id }) => ({ name, id })));
  }
}

/** What the hop behind us has done, or what has become of it. */
const [unknown, unreachable, closed] = (["unknown", "unreachable", "closed"] as const).map((reason) => ({
  reason,
  hop: "hop",
  index: 1,
}));

/** The peer's connection that came through our segment `id`. */
function theirs(id: string, state = State.UP): Connection {
  return Connection.create({
    id: `peer-of-${id}`,
    state,
    path: Path.create({
      index: 2,
      pathSegments: [
        PathSegment.create({ name: "client", id: `client-of-${id}` }),
        PathSegment.create({ name: "hop", id }),
        PathSegment.create({ name: "peer", id: `peer-of-${id}` }),
      ],
    }),
  });
}

let clock: VirtualClock;
let program: AbortController;
let ctx: Context;
let peer: FakePeer;
let subscriptions: Subscription[];

beforeEach(() => {
  clock = virtualClock();
  program = new AbortController();
  ctx = Context.background({ clock });
  peer = new FakePeer();
  subscriptions = [];
});

function hubOf(scope: "segment" | "connection"): MonitorHub {
  const hub = monitorHub({ scope, until: program.signal });
  hubs.push(hub);
  return hub;
}
const hubs: MonitorHub[] = [];

afterEach(() => {
  for (const subscription of subscriptions) subscription.unsubscribe();
  expect(hubs.map((hub) => hub.debugState())).toEqual(
    hubs.map(() => ({ peers: 0, streams: 0, following: 0, early: 0 })),
  );
  hubs.length = 0;
  expect(peer.open).toBe(0);
  expect(clock.timers).toBe(0);
});

/** Follows `id` and gathers what is seen. */
function follow(
  hub: MonitorHub,
  id: string,
  remote = peer.remote,
): { seen: Observation[]; states: State[]; stop(): void } {
  const seen: Observation[] = [];
  const subscription = hub.follow(ctx, remote, { index: 1, name: "hop", id }).subscribe({
    next: (observation) => seen.push(observation),
    error: () => expect.fail("a hub never fails"),
    complete: () => expect.fail("a hub never completes"),
  });
  subscriptions.push(subscription);
  return {
    seen,
    get states() {
      return seen.map(({ state }) => state);
    },
    stop: () => subscription.unsubscribe(),
  };
}

describe("a hub with one stream per peer", () => {
  test("asks a peer once for all connections that pass through us", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    expect(peer.selectors).toEqual([[{ name: "hop", id: "" }]]);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.tell(UPDATE, theirs("two"), theirs("three"));
    expect(one.seen).toEqual([{ connection: theirs("one"), state: State.UP }]);
    expect(two.seen).toEqual([{ connection: theirs("two"), state: State.UP }]);
    expect(hub.debugState()).toMatchObject({ peers: 1, streams: 1, following: 2 });
  });

  test("asks each peer, and each name we go by", () => {
    const hub = hubOf("segment");
    const other = new FakePeer();
    follow(hub, "one");
    follow(hub, "two", other.remote);
    subscriptions.push(hub.follow(ctx, peer.remote, { index: 3, name: "alias", id: "x" }).subscribe());
    expect(peer.selectors).toEqual([[{ name: "hop", id: "" }], [{ name: "alias", id: "" }]]);
    expect(other.selectors).toEqual([[{ name: "hop", id: "" }]]);
    expect(hub.debugState()).toMatchObject({ peers: 2, streams: 3, following: 3 });
  });

  test("tells a connection's end, and what the peer asks for", () => {
    const one = follow(hubOf("segment"), "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.tell(UPDATE, theirs("one", State.REFRESH_REQUESTED));
    peer.tell(UPDATE, theirs("one", State.DOWN));
    peer.tell(DELETE, theirs("one"));
    expect(one.states).toEqual([State.UP, State.REFRESH_REQUESTED, State.DOWN, State.DOWN]);
  });

  test("tells why a connection is down, and who noticed", () => {
    const one = follow(hubOf("segment"), "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.tell(UPDATE, withDownReason(theirs("one", State.DOWN), "unreachable"));
    peer.tell(UPDATE, theirs("one", State.DOWN));
    peer.tell(DELETE, theirs("one"));
    const causes = one.seen.map(({ cause }) => cause);
    expect(causes).toEqual([undefined, { reason: "unreachable", hop: "peer", index: 2 }, undefined, closed]);
  });

  test("tells which of our Requests the peer speaks of", () => {
    const one = follow(hubOf("segment"), "one");
    const shown = theirs("one");
    const asked = markRequest({ ...shown, path: { ...shown.path!, index: 1 } });
    peer.tell(INITIAL_STATE_TRANSFER, shown);
    peer.tell(UPDATE, { ...shown, path: { ...asked.path!, index: 2 } });
    expect(one.seen.map(({ mark }) => mark)).toEqual([undefined, requestMark(asked.path!.pathSegments[1])]);
  });

  test("takes a connection that was asked for anew for what it is: up", () => {
    const one = follow(hubOf("segment"), "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one", State.RESELECT_REQUESTED));
    expect(one.states).toEqual([State.UP]);
  });

  test("does not mistake a segment at another place of the path for ours", () => {
    const one = follow(hubOf("segment"), "one");
    const shifted = theirs("one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.tell(UPDATE, { ...shifted, path: { ...shifted.path!, index: 0 } });
    peer.tell(UPDATE, { ...shifted, path: undefined });
    const longer = [PathSegment.create({ name: "a", id: "a" }), ...shifted.path!.pathSegments];
    peer.tell(UPDATE, { ...shifted, path: { index: 3, pathSegments: longer } });
    expect(one.seen).toHaveLength(1);
  });

  test("closes a stream that nobody follows any more, and opens it again for the next", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    one.stop();
    expect(peer.open).toBe(1);
    two.stop();
    expect(peer.open).toBe(0);
    follow(hub, "three");
    expect(peer.open).toBe(1);
  });
});

describe("an event that overtakes the answer to its Request", () => {
  test("is told to whoever follows then, the last one of each connection", () => {
    const hub = hubOf("segment");
    follow(hub, "other");
    peer.tell(INITIAL_STATE_TRANSFER);
    peer.tell(UPDATE, theirs("one"));
    peer.tell(UPDATE, theirs("one", State.DOWN));
    peer.tell(UPDATE, theirs("two"));
    peer.tell(DELETE, theirs("two"));
    expect(follow(hub, "one").states).toEqual([State.DOWN]);
    expect(follow(hub, "two").states).toEqual([State.DOWN]);
    expect(hub.debugState()).toMatchObject({ early: 0 });
  });

  test("is told to a second follower too", () => {
    const hub = hubOf("segment");
    follow(hub, "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.tell(UPDATE, theirs("one", State.REFRESH_REQUESTED));
    expect(follow(hub, "one").states).toEqual([State.REFRESH_REQUESTED]);
  });

  test("is not mistaken for an event about what had the id before", () => {
    const hub = hubOf("segment");
    follow(hub, "other");
    const one = follow(hub, "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"), theirs("other"));
    peer.tell(UPDATE, theirs("one", State.DOWN));
    one.stop();
    peer.tell(DELETE, theirs("one"));
    expect(follow(hub, "one").seen).toEqual([]);
  });

  test("is forgotten when there are too many of them", () => {
    const hub = hubOf("segment");
    follow(hub, "other");
    peer.tell(INITIAL_STATE_TRANSFER);
    for (let i = 0; i < 1_100; i++) peer.tell(UPDATE, theirs(`id-${i}`));
    expect(hub.debugState()).toMatchObject({ early: 1_024 });
    expect(follow(hub, "id-0").seen).toEqual([]);
    expect(follow(hub, "id-1099").states).toEqual([State.UP]);
  });
});

describe("a stream that breaks", () => {
  const many = Array.from({ length: MAX_CONNECTIONS }, (_, i) => theirs(`id-${i}`));

  test("is opened again at once, and what it still shows was never lost", () => {
    const one = follow(hubOf("segment"), "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.streams[0]!.events.error(unavailable);
    expect(peer.streams).toHaveLength(2);
    expect(peer.open).toBe(1);
    expect(one.states).toEqual([State.UP]);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    expect(one.states).toEqual([State.UP, State.UP]);
  });

  test("is opened again when the peer ends it without an error", () => {
    const one = follow(hubOf("segment"), "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.streams[0]!.events.complete();
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    expect(one.states).toEqual([State.UP, State.UP]);
  });

  test("means DOWN for what is missing when it is opened again", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"), theirs("two"));
    peer.streams[0]!.events.error(unavailable);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("two"));
    expect(one.seen.at(-1)).toEqual({ connection: undefined, state: State.DOWN, cause: unknown });
    expect(two.states).toEqual([State.UP, State.UP]);
  });

  test("means DOWN for all when it cannot be opened again", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.refusals = [unavailable];
    peer.streams[0]!.events.error(unavailable);
    expect(peer.streams).toHaveLength(2);
    expect(one.states).toEqual([State.UP, State.DOWN]);
    expect(two.seen).toEqual([{ connection: undefined, state: State.DOWN, cause: unreachable, lost: true }]);
    expect(hub.debugState()).toMatchObject({ peers: 0, streams: 0, following: 0 });
  });

  test("means DOWN when the peer is gone before it ever showed anything", () => {
    peer.refusals = [unavailable, unavailable];
    expect(follow(hubOf("segment"), "one").states).toEqual([State.DOWN]);
    expect(peer.streams).toHaveLength(2);
  });

  test("is not opened again and again when it breaks as soon as it is open", async () => {
    const one = follow(hubOf("segment"), "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.streams.at(-1)!.events.error(unavailable);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    await clock.advance(999);
    peer.streams.at(-1)!.events.error(unavailable);
    expect(one.states).toEqual([State.UP, State.UP, State.DOWN]);
    expect(peer.streams).toHaveLength(2);
  });

  test("is opened again as often as it breaks after having lived for a while", async () => {
    const one = follow(hubOf("segment"), "one");
    for (let i = 0; i < 5; i++) {
      peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
      await clock.advance(1_000);
      peer.streams.at(-1)!.events.error(unavailable);
    }
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    expect(one.states).toEqual(Array(6).fill(State.UP));
  });

  test("says nothing about a connection that came while it was being opened", () => {
    const hub = hubOf("segment");
    follow(hub, "one");
    const late = follow(hub, "late");
    // The peer had gathered this before it answered the late one's Request.
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.tell(UPDATE, theirs("late"));
    expect(late.states).toEqual([State.UP]);
  });

  test("takes nobody of 10,000 for lost as long as a large initial set goes on", async () => {
    const hub = hubOf("segment");
    const followed = Array.from({ length: 10_000 }, (_, i) => follow(hub, `id-${i}`));
    const all = followed.map((_, i) => theirs(`id-${i}`));
    peer.tell(INITIAL_STATE_TRANSFER, ...all);
    peer.streams[0]!.events.error(unavailable);
    for (let i = 0; i < all.length; i += MAX_CONNECTIONS) {
      peer.tell(i === 0 ? INITIAL_STATE_TRANSFER : UPDATE, ...all.slice(i, i + MAX_CONNECTIONS));
      await clock.advance(400);
    }
    peer.tell(UPDATE);
    expect(followed.filter(({ states }) => states.includes(State.DOWN))).toEqual([]);
  });

  test("takes what a large initial set did not show for lost when the peer says that it ends", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"), theirs("two"));
    peer.streams[0]!.events.error(unavailable);
    peer.tell(INITIAL_STATE_TRANSFER, ...many);
    peer.tell(UPDATE, theirs("one"));
    expect(two.states).toEqual([State.UP]);
    peer.tell(UPDATE);
    expect(one.states).toEqual([State.UP, State.UP]);
    expect(two.states).toEqual([State.UP, State.DOWN]);
  });

  test("takes it for lost when a peer that does not say so shows nothing of it for a while", async () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"), theirs("two"));
    peer.streams[0]!.events.error(unavailable);
    peer.tell(INITIAL_STATE_TRANSFER, ...many);
    await clock.advance(4_000);
    peer.tell(UPDATE, theirs("one"));
    // What is told about others is no part of it.
    for (let i = 0; i < 4; i++) {
      await clock.advance(1_000);
      peer.tell(UPDATE, theirs("id-1"));
    }
    expect(two.states).toEqual([State.UP]);
    await clock.advance(1_000);
    expect(one.states).toEqual([State.UP, State.UP]);
    expect(two.states).toEqual([State.UP, State.DOWN]);
  });

  test("tells a follower that stops while others are told nothing more", () => {
    const hub = hubOf("segment");
    const two = { states: [] as State[], subscription: undefined as Subscription | undefined };
    subscriptions.push(
      hub
        .follow(ctx, peer.remote, { index: 1, name: "hop", id: "one" })
        .subscribe(({ state }) => state === State.DOWN && two.subscription?.unsubscribe()),
    );
    two.subscription = hub
      .follow(ctx, peer.remote, { index: 1, name: "hop", id: "two" })
      .subscribe(({ state }) => two.states.push(state));
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"), theirs("two"));
    peer.refusals = [unavailable];
    peer.streams[0]!.events.error(unavailable);
    expect(two.states).toEqual([State.UP]);
  });

  test("can be followed anew by whoever was told so", () => {
    const hub = hubOf("segment");
    const again: State[] = [];
    subscriptions.push(
      hub.follow(ctx, peer.remote, { index: 1, name: "hop", id: "one" }).subscribe(({ state }) => {
        if (state !== State.DOWN) return;
        const next = hub.follow(ctx, peer.remote, { index: 1, name: "hop", id: "one" });
        subscriptions.push(next.subscribe((observation) => again.push(observation.state)));
      }),
    );
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    peer.refusals = [unavailable];
    peer.streams[0]!.events.error(unavailable);
    expect(peer.open).toBe(1);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    expect(again).toEqual([State.UP]);
  });
});

describe("a peer that does not show everything", () => {
  test("is asked for each connection", () => {
    const hub = hubOf("segment");
    peer.refusals = [denied];
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    expect(peer.selectors).toEqual([
      [{ name: "hop", id: "" }],
      [{ name: "hop", id: "one" }],
      [{ name: "hop", id: "two" }],
    ]);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("two"));
    expect([one.states, two.states]).toEqual([[], [State.UP]]);
    two.stop();
    expect(peer.open).toBe(1);
  });

  test("may begin to refuse later: connections it does not show one by one are DOWN", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"), theirs("two"));
    peer.refusals = [denied, denied];
    peer.streams[0]!.events.error(unavailable);
    expect(peer.selectors.slice(1)).toEqual([
      [{ name: "hop", id: "" }],
      [{ name: "hop", id: "one" }],
      [{ name: "hop", id: "two" }],
    ]);
    peer.tell(INITIAL_STATE_TRANSFER, theirs("two"));
    expect(one.states).toEqual([State.UP, State.DOWN]);
    expect(two.states).toEqual([State.UP, State.UP]);
  });

  test.each([
    ["refuses each as well", [denied, denied]],
    ["has no monitor", [new NsmError(Code.Unimplemented, "no such method")]],
  ])("and %s cannot be watched: that is logged, its connections are not dead", (_, refusals) => {
    const warnings: string[] = [];
    const noting: Logger = { ...silent, warn: (_fields, message) => void warnings.push(message) };
    ctx = ctx.with(logger, noting);
    peer.refusals = refusals;
    const hub = hubOf("segment");
    expect(follow(hub, "one").seen).toEqual([]);
    expect(warnings).toEqual(["connections at this peer cannot be watched"]);
    expect(hub.debugState()).toMatchObject({ streams: 0, following: 0 });
  });
});

describe("a hub with one stream per connection", () => {
  test("asks for each by name and id", () => {
    const hub = hubOf("connection");
    const one = follow(hub, "one");
    follow(hub, "two");
    expect(peer.selectors).toEqual([[{ name: "hop", id: "one" }], [{ name: "hop", id: "two" }]]);
    peer.streams[0]!.events.next({ type: UPDATE, connections: { a: theirs("one", State.DOWN) } });
    expect(one.states).toEqual([State.DOWN]);
  });

  test("takes a connection that the peer does not know for lost", () => {
    const one = follow(hubOf("connection"), "one");
    peer.tell(INITIAL_STATE_TRANSFER);
    expect(one.seen).toEqual([{ connection: undefined, state: State.DOWN, cause: unknown }]);
  });

  test("shares the stream of two who follow one connection", () => {
    const hub = hubOf("connection");
    const first = follow(hub, "one");
    const second = follow(hub, "one");
    expect(peer.streams).toHaveLength(1);
    first.stop();
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    expect(first.seen).toEqual([]);
    expect(second.states).toEqual([State.UP]);
  });
});

describe("the end of the program", () => {
  test("ends all streams, is no loss, and nothing begins after it", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    peer.tell(INITIAL_STATE_TRANSFER, theirs("one"));
    program.abort();
    expect(peer.open).toBe(0);
    expect(hub.debugState()).toEqual({ peers: 0, streams: 0, following: 0, early: 0 });
    expect(follow(hub, "two").seen).toEqual([]);
    expect(one.states).toEqual([State.UP]);
    expect(peer.streams).toHaveLength(1);
  });

  test("reaches a remote that waits", () => {
    const signals: AbortSignal[] = [];
    const remote = {
      url: "tcp://silent:5001",
      monitor: {
        monitorConnections(c: Context) {
          signals.push(c.signal);
          return NEVER;
        },
      },
    } as unknown as Remote;
    follow(hubOf("segment"), "one", remote);
    expect(signals).toEqual([program.signal]);
    program.abort();
    expect(getEventListeners(program.signal, "abort")).toEqual([]);
  });
});
