import type { Subscription } from "rxjs";
import { describe, expect, test } from "vitest";
import { State } from "../../../src/api/index.js";
import { MAX_CONNECTIONS } from "../../../src/inbound/index.js";
import {
  INITIAL_STATE_TRANSFER,
  UPDATE,
  unavailable,
  unknown,
  unreachable,
  theirs,
  clock,
  ctx,
  peer,
  subscriptions,
  hubOf,
  follow,
} from "./hub-kit.js";

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
