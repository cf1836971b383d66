import type { Subscription } from "rxjs";
import { describe, expect, test } from "vitest";
import { State } from "../../../src/api/index.js";
import { MAX_CONNECTIONS } from "../../../src/wire/index.js";
import {
  INITIAL_STATE_TRANSFER,
  UPDATE,
  unavailable,
  unknown,
  unreachable,
  peerConnection,
  clock,
  ctx,
  peer,
  subscriptions,
  hubOf,
  follow,
} from "./hub-kit.js";

describe("a stream that breaks", () => {
  const many = Array.from({ length: MAX_CONNECTIONS }, (_, i) => peerConnection(`id-${i}`));

  test("is reopened at once, and connections that it still shows are not lost", () => {
    const one = follow(hubOf("segment"), "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.streams[0]!.events.error(unavailable);
    expect(peer.streams).toHaveLength(2);
    expect(peer.open).toBe(1);
    expect(one.states).toEqual([State.UP]);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    expect(one.states).toEqual([State.UP, State.UP]);
  });

  test("is reopened when the peer ends it without an error", () => {
    const one = follow(hubOf("segment"), "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.streams[0]!.events.complete();
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    expect(one.states).toEqual([State.UP, State.UP]);
  });

  test("means DOWN for connections that are missing after the reopening", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"), peerConnection("two"));
    peer.streams[0]!.events.error(unavailable);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("two"));
    expect(one.seen.at(-1)).toEqual({ connection: undefined, state: State.DOWN, cause: unknown });
    expect(two.states).toEqual([State.UP, State.UP]);
  });

  test("means DOWN for all connections when it cannot be reopened", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.refusals = [unavailable];
    peer.streams[0]!.events.error(unavailable);
    expect(peer.streams).toHaveLength(2);
    expect(one.states).toEqual([State.UP, State.DOWN]);
    expect(two.seen).toEqual([{ connection: undefined, state: State.DOWN, cause: unreachable, lost: true }]);
    expect(hub.debugState()).toMatchObject({ peers: 0, streams: 0, following: 0 });
  });

  test("means DOWN when the peer is gone before its first event", () => {
    peer.refusals = [unavailable, unavailable];
    expect(follow(hubOf("segment"), "one").states).toEqual([State.DOWN]);
    expect(peer.streams).toHaveLength(2);
  });

  test("is not reopened repeatedly when it breaks immediately", async () => {
    const one = follow(hubOf("segment"), "one");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.streams.at(-1)!.events.error(unavailable);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    await clock.advance(999);
    peer.streams.at(-1)!.events.error(unavailable);
    expect(one.states).toEqual([State.UP, State.UP, State.DOWN]);
    expect(peer.streams).toHaveLength(2);
  });

  test("is reopened each time it breaks after a while", async () => {
    const one = follow(hubOf("segment"), "one");
    for (let i = 0; i < 5; i++) {
      peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
      await clock.advance(1_000);
      peer.streams.at(-1)!.events.error(unavailable);
    }
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    expect(one.states).toEqual(Array(6).fill(State.UP));
  });

  test("does not affect a connection that was added while it was being opened", () => {
    const hub = hubOf("segment");
    follow(hub, "one");
    const late = follow(hub, "late");
    // The peer collected this before it answered the Request of the late connection.
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.publish(UPDATE, peerConnection("late"));
    expect(late.states).toEqual([State.UP]);
  });

  test("loses none of 10,000 connections while a large initial set continues", async () => {
    const hub = hubOf("segment");
    const followed = Array.from({ length: 10_000 }, (_, i) => follow(hub, `id-${i}`));
    const all = followed.map((_, i) => peerConnection(`id-${i}`));
    peer.publish(INITIAL_STATE_TRANSFER, ...all);
    peer.streams[0]!.events.error(unavailable);
    for (let i = 0; i < all.length; i += MAX_CONNECTIONS) {
      peer.publish(i === 0 ? INITIAL_STATE_TRANSFER : UPDATE, ...all.slice(i, i + MAX_CONNECTIONS));
      await clock.advance(400);
    }
    peer.publish(UPDATE);
    expect(followed.filter(({ states }) => states.includes(State.DOWN))).toEqual([]);
  });

  test("loses connections that a large initial set did not show when the peer marks its end", () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"), peerConnection("two"));
    peer.streams[0]!.events.error(unavailable);
    peer.publish(INITIAL_STATE_TRANSFER, ...many);
    peer.publish(UPDATE, peerConnection("one"));
    expect(two.states).toEqual([State.UP]);
    peer.publish(UPDATE);
    expect(one.states).toEqual([State.UP, State.UP]);
    expect(two.states).toEqual([State.UP, State.DOWN]);
  });

  test("loses them after a while when the peer does not mark the end", async () => {
    const hub = hubOf("segment");
    const one = follow(hub, "one");
    const two = follow(hub, "two");
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"), peerConnection("two"));
    peer.streams[0]!.events.error(unavailable);
    peer.publish(INITIAL_STATE_TRANSFER, ...many);
    await clock.advance(4_000);
    peer.publish(UPDATE, peerConnection("one"));
    // Events about other connections do not count.
    for (let i = 0; i < 4; i++) {
      await clock.advance(1_000);
      peer.publish(UPDATE, peerConnection("id-1"));
    }
    expect(two.states).toEqual([State.UP]);
    await clock.advance(1_000);
    expect(one.states).toEqual([State.UP, State.UP]);
    expect(two.states).toEqual([State.UP, State.DOWN]);
  });

  test("publishes nothing to a follower that stops during an event", () => {
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
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"), peerConnection("two"));
    peer.refusals = [unavailable];
    peer.streams[0]!.events.error(unavailable);
    expect(two.states).toEqual([State.UP]);
  });

  test("can be followed again after a reported loss", () => {
    const hub = hubOf("segment");
    const again: State[] = [];
    subscriptions.push(
      hub.follow(ctx, peer.remote, { index: 1, name: "hop", id: "one" }).subscribe(({ state }) => {
        if (state !== State.DOWN) return;
        const next = hub.follow(ctx, peer.remote, { index: 1, name: "hop", id: "one" });
        subscriptions.push(next.subscribe((observation) => again.push(observation.state)));
      }),
    );
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    peer.refusals = [unavailable];
    peer.streams[0]!.events.error(unavailable);
    expect(peer.open).toBe(1);
    peer.publish(INITIAL_STATE_TRANSFER, peerConnection("one"));
    expect(again).toEqual([State.UP]);
  });
});
