import { getEventListeners } from "node:events";
import { NEVER } from "rxjs";
import { describe, expect, test } from "vitest";
import { PathSegment, State } from "../../../src/api/index.js";
import {
  Code,
  Context,
  logger,
  NsmError,
  silent,
  type Remote,
  type Logger,
} from "../../../src/core/index.js";
import { markRequest, requestMark, withDownReason } from "../../../src/elements/monitor/marks.js";
import {
  INITIAL_STATE_TRANSFER,
  UPDATE,
  DELETE,
  unavailable,
  denied,
  FakePeer,
  unknown,
  closed,
  peerConnection,
  program,
  ctx,
  peer,
  subscriptions,
  hubOf,
  follow,
} from "./hub-kit.js";

describe("a hub with one stream per peer", () => {
  test("opens one stream per peer for all connections of this process", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    expect(peer.selectors).toEqual([[{ name: "hop", id: "" }]]);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.publish(UPDATE, peerConnection("two"), peerConnection("three"));
    expect(one.seen).toEqual([{ connection: peerConnection("one"), state: State.UP }]);
    expect(two.seen).toEqual([{ connection: peerConnection("two"), state: State.UP }]);
    expect(hub.debugState()).toMatchObject({ peers: 1, streams: 1, following: 2 });
  });

  test("opens a stream per peer and per own name", () => {
    const hub = hubOf("segment");
    const other = new FakePeer();
    follow(hub, "one");
    follow(hub, "two", other.remote);
    subscriptions.push(hub.follow(ctx, peer.remote, { index: 3, name: "alias", id: "x" }).subscribe());
    expect(peer.selectors).toEqual([[{ name: "hop", id: "" }], [{ name: "alias", id: "" }]]);
    expect(other.selectors).toEqual([[{ name: "hop", id: "" }]]);
    expect(hub.debugState()).toMatchObject({ peers: 2, streams: 3, following: 3 });
  });

  test("publishes the end of a connection, and requests of the peer", () => {
    const one = follow(hubOf("segment"), "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.publish(UPDATE, peerConnection("one", State.REFRESH_REQUESTED));
    peer.publish(UPDATE, peerConnection("one", State.DOWN));
    peer.publish(DELETE, peerConnection("one"));
    expect(one.states).toEqual([State.UP, State.REFRESH_REQUESTED, State.DOWN, State.DOWN]);
  });

  test("publishes why a connection is down, and which hop detected it", () => {
    const one = follow(hubOf("segment"), "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.publish(UPDATE, withDownReason(peerConnection("one", State.DOWN), "unreachable"));
    peer.publish(UPDATE, peerConnection("one", State.DOWN));
    peer.publish(DELETE, peerConnection("one"));
    const causes = one.seen.map(({ cause }) => cause);
    expect(causes).toEqual([undefined, { reason: "unreachable", hop: "peer", index: 2 }, undefined, closed]);
  });

  test("publishes which Request an event belongs to", () => {
    const one = follow(hubOf("segment"), "one");
    const shown = peerConnection("one");
    const marked = markRequest({ ...shown, path: { ...shown.path!, index: 1 } });
    peer.publish(INITIAL_STATE_TRANSFER, shown);
    peer.publish(UPDATE, { ...shown, path: { ...marked.path!, index: 2 } });
    expect(one.seen.map(({ mark }) => mark)).toEqual([undefined, requestMark(marked.path!.pathSegments[1])]);
  });

  test("publishes RESELECT_REQUESTED as UP", () => {
    const one = follow(hubOf("segment"), "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one", State.RESELECT_REQUESTED));
    expect(one.states).toEqual([State.UP]);
  });

  test("does not confuse a segment at another index with the own one", () => {
    const one = follow(hubOf("segment"), "one");
    const shifted = peerConnection("one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.publish(UPDATE, { ...shifted, path: { ...shifted.path!, index: 0 } });
    peer.publish(UPDATE, { ...shifted, path: undefined });
    const longer = [PathSegment.create({ name: "a", id: "a" }), ...shifted.path!.pathSegments];
    peer.publish(UPDATE, { ...shifted, path: { index: 3, pathSegments: longer } });
    expect(one.seen).toHaveLength(1);
  });

  test("closes a stream without followers, and opens it again for the next one", () => {
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

describe("an event that arrives before the answer to its Request", () => {
  test("is published to the next follower, the last one of each connection", () => {
    const hub = hubOf("segment");
    follow(hub, "other");
    peer.publish(INITIAL_STATE_TRANSFER);
    peer.publish(UPDATE, peerConnection("one"));
    peer.publish(UPDATE, peerConnection("one", State.DOWN));
    peer.publish(UPDATE, peerConnection("two"));
    peer.publish(DELETE, peerConnection("two"));
    expect(follow(hub, "one").states).toEqual([State.DOWN]);
    expect(follow(hub, "two").states).toEqual([State.DOWN]);
    expect(hub.debugState()).toMatchObject({ early: 0 });
  });

  test("is published to a second follower too", () => {
    const hub = hubOf("segment");
    follow(hub, "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.publish(UPDATE, peerConnection("one", State.REFRESH_REQUESTED));
    expect(follow(hub, "one").states).toEqual([State.REFRESH_REQUESTED]);
  });

  test("is not confused with an event about an earlier connection with the same id", () => {
    const hub = hubOf("segment");
    follow(hub, "other");
    const one = follow(hub, "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"), peerConnection("other"));
    peer.publish(UPDATE, peerConnection("one", State.DOWN));
    one.stop();
    peer.publish(DELETE, peerConnection("one"));
    expect(follow(hub, "one").seen).toEqual([]);
  });

  test("is discarded when there are too many", () => {
    const hub = hubOf("segment");
    follow(hub, "other");
    peer.publish(INITIAL_STATE_TRANSFER);
    for (let i = 0; i < 1_100; i++) peer.publish(UPDATE, peerConnection(`id-${i}`));
    expect(hub.debugState()).toMatchObject({ early: 1_024 });
    expect(follow(hub, "id-0").seen).toEqual([]);
    expect(follow(hub, "id-1099").states).toEqual([State.UP]);
  });
});

describe("a peer that does not show everything", () => {
  test("gets one stream per connection", () => {
    const hub = hubOf("segment");
    peer.refusals = [denied];
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    expect(peer.selectors).toEqual([
      [{ name: "hop", id: "" }],
      [{ name: "hop", id: "one" }],
      [{ name: "hop", id: "two" }],
    ]);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("two"));
    expect([one.states, two.states]).toEqual([[], [State.UP]]);
    two.stop();
    expect(peer.open).toBe(1);
  });

  test("may start to reject later: connections that it does not show one by one are DOWN", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"), peerConnection("two"));
    peer.refusals = [denied, denied];
    peer.streams[0]!.events.error(unavailable);
    expect(peer.selectors.slice(1)).toEqual([
      [{ name: "hop", id: "" }],
      [{ name: "hop", id: "one" }],
      [{ name: "hop", id: "two" }],
    ]);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("two"));
    expect(one.states).toEqual([State.UP, State.DOWN]);
    expect(two.states).toEqual([State.UP, State.UP]);
  });

  test.each([
    ["refuses each as well", [denied, denied]],
    ["has no monitor", [new NsmError(Code.Unimplemented, "no such method")]],
  ])("and %s cannot be monitored: this is logged, its connections stay up", (_, refusals) => {
    const warnings: string[] = [];
    const recording: Logger = { ...silent, warn: (_fields, message) => void warnings.push(message) };
    peer.refusals = refusals;
    const hub = hubOf("segment");
    expect(follow(hub, "one", peer.remote, ctx.with(logger, recording)).seen).toEqual([]);
    expect(warnings).toEqual(["cannot monitor the connections at this peer"]);
    expect(hub.debugState()).toMatchObject({ streams: 0, following: 0 });
  });
});

describe("a hub with one stream per connection", () => {
  test("subscribes to each by name and id", () => {
    const hub = hubOf("connection");
    const one = follow(hub, "one");
    follow(hub, "two");
    expect(peer.selectors).toEqual([[{ name: "hop", id: "one" }], [{ name: "hop", id: "two" }]]);
    peer.streams[0]!.events.next({ type: UPDATE, connections: { a: peerConnection("one", State.DOWN) } });
    expect(one.states).toEqual([State.DOWN]);
  });

  test("reports a connection that the peer does not know as lost", () => {
    const one = follow(hubOf("connection"), "one");
    peer.publish(INITIAL_STATE_TRANSFER);
    expect(one.seen).toEqual([{ connection: undefined, state: State.DOWN, cause: unknown }]);
  });

  test("shares the stream of two followers of one connection", () => {
    const hub = hubOf("connection");
    const first = follow(hub, "one");
    const second = follow(hub, "one");
    expect(peer.streams).toHaveLength(1);
    first.stop();
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    expect(first.seen).toEqual([]);
    expect(second.states).toEqual([State.UP]);
  });
});

describe("the end of the program", () => {
  test("ends all streams without a loss, and starts none after it", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    program.abort();
    expect(peer.open).toBe(0);
    expect(hub.debugState()).toEqual({ peers: 0, streams: 0, following: 0, early: 0 });
    expect(follow(hub, "two").seen).toEqual([]);
    expect(one.states).toEqual([State.UP]);
    expect(peer.streams).toHaveLength(1);
  });

  test("ends a pending stream", () => {
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
