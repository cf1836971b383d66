import { describe, expect, test } from "vitest";
import { fromTimestamp, toTimestamp, type NetworkServiceEndpoint } from "../../../src/api/index.js";
import { Code, ContextKey, endpointRegistryChain, peer, type Context } from "../../../src/core/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { connect } from "../../../src/registry/elements/connect/index.js";
import { expire } from "../../../src/registry/elements/expire/index.js";
import { ownTokenExpiry } from "../../../src/registry/elements/update-path/index.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import {
  checkContext,
  describeRegistryElement,
  recorder,
  runRegistry,
  sampleEndpoint,
  virtualClock,
} from "../../../src/testing/index.js";
import { failSwitch, changing, withoutContextValues, captureEvents } from "../support.js";

describeRegistryElement("expire", ({ until }) => expire({ until }), {
  before: [begin(), registrationState()],
});

const unset = { expirationTime: undefined };
const chain = (...rest: Parameters<typeof runRegistry>[0]) =>
  runRegistry([begin(), registrationState(), ...rest]);

const withTokens = (ctx: Context, ownMs: number, peerMs: number): Context =>
  ctx.with(ownTokenExpiry, toTimestamp(ctx.clock.now() + ownMs)).with(peer, {
    address: "a",
    local: true,
    token: { token: "t", expires: toTimestamp(ctx.clock.now() + peerMs) },
  });

describe("expire", () => {
  test("uses the default lifetime for an endpoint without tokens, and removes it in time", async () => {
    const { register, find, clock, leftovers } = chain(expire(), memoryEndpoints());
    const { expirationTime } = await register(unset);
    expect(fromTimestamp(expirationTime!)).toBe(clock.now() + 60_000);
    await clock.advance(59_999);
    expect(await find()).toHaveLength(1);
    await clock.advance(1);
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["the own token", 20_000, 30_000, undefined, 20_000],
    ["the caller's token", 30_000, 20_000, undefined, 20_000],
    ["the default", 90_000, 90_000, undefined, 60_000],
    ["what the caller asked for", 30_000, 30_000, 10_000, 10_000],
    ["not a later wish", 30_000, 30_000, 40_000, 30_000],
  ])("uses the earliest time: %s", async (_what, own, theirs, requested, lifetime) => {
    const seen = recorder();
    const { register, unregister, ctx, clock, leftovers } = chain(expire(), seen);
    const start = clock.now();
    const expirationTime = requested === undefined ? undefined : toTimestamp(start + requested);
    const answer = await register({ expirationTime }, withTokens(ctx, own, theirs));
    expect(fromTimestamp(answer.expirationTime!)).toBe(start + lifetime);
    expect(seen.args<NetworkServiceEndpoint>("register")[0]!.expirationTime).toEqual(answer.expirationTime);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("keeps its own time if a later hop answers with a later one, and accepts an earlier one", async () => {
    const times = { answer: 300_000 };
    const answering = changing({
      answer: (endpoint) => ({ ...endpoint, expirationTime: toTimestamp(start + times.answer) }),
    });
    const { register, unregister, find, clock } = chain(expire(), answering, memoryEndpoints());
    const start = clock.now();
    expect(fromTimestamp((await register(unset)).expirationTime!)).toBe(start + 60_000);
    times.answer = 10_000;
    expect(fromTimestamp((await register(unset)).expirationTime!)).toBe(start + 10_000);
    await clock.advance(10_000);
    expect(await find()).toEqual([]);
    await unregister(sampleEndpoint(0));
  });

  test("starts the removal earlier by the remaining time of the Register", async () => {
    const { register, find, ctx, clock, leftovers } = chain(expire(), memoryEndpoints());
    await ctx.withTimeout(15_000, (c) => register(unset, c));
    await clock.advance(44_999);
    expect(await find()).toHaveLength(1);
    await clock.advance(1);
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("leaves enough time to a client that renews at two thirds, for any time limit of the Register", async () => {
    const { register, find, ctx, clock } = chain(expire(), memoryEndpoints());
    await ctx.withTimeout(300_000, (c) => register(unset, c));
    await clock.advance(44_999);
    expect(await find()).toHaveLength(1);
    await clock.advance(1);
    expect(await find()).toEqual([]);
  });

  test("gives one second to a registration that has expired on arrival", async () => {
    const { register, find, clock, leftovers } = chain(expire(), memoryEndpoints());
    await register({ expirationTime: toTimestamp(clock.now() - 5_000) });
    await clock.advance(999);
    expect(await find()).toHaveLength(1);
    await clock.advance(1);
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("never removes a registration that is renewed at two thirds of its lifetime", async () => {
    const seen = recorder();
    const { register, unregister, clock, leftovers } = chain(expire(), seen);
    for (let i = 0; i < 50; i++) {
      await register(unset);
      await clock.advance(40_000);
    }
    expect(seen.calls).not.toContain("unregister");
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("leaves no timer after two hundred quick renewals", async () => {
    const { register, find, clock, leftovers } = chain(expire(), memoryEndpoints());
    for (let i = 0; i < 200; i++) await register(unset);
    expect(clock.timers).toBe(1);
    await clock.advance(60_000);
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("removes a registration whose renewals fail", async () => {
    const broken = failSwitch();
    const { register, find, clock } = chain(
      expire(),
      memoryEndpoints(),
      // After the store, so that a failure here prevents the storing.
      broken,
    );
    await register(unset);
    broken.on = true;
    for (let i = 0; i < 5; i++) {
      await clock.advance(10_000);
      await expect(register(unset)).rejects.toMatchObject({ code: Code.Unavailable });
    }
    expect(await find()).toHaveLength(1);
    broken.on = false;
    await clock.advance(10_000);
    expect(await find()).toEqual([]);
  });

  test("stops its timer for a failed Unregister, and a later hop still removes the entry", async () => {
    const broken = failSwitch();
    const further = endpointRegistryChain([begin(), registrationState(), expire(), memoryEndpoints()]);
    const { register, unregister, find, clock, leftovers } = chain(
      expire(),
      broken,
      connect(withoutContextValues(further)),
    );
    await register(unset);
    broken.on = true;
    await expect(unregister()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(clock.timers).toBe(1);
    broken.on = false;
    expect(await find()).toHaveLength(1);
    await clock.advance(60_000);
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("unregisters with the values of the last Register", async () => {
    const colour = new ContextKey<string>("colour");
    const seen: (string | undefined)[] = [];
    const recordCall = checkContext((ctx, method) => {
      if (method === "unregister") seen.push(ctx.get(colour));
    });
    const { register, ctx, clock } = chain(expire(), recordCall);
    await register(unset, ctx.with(colour, "red"));
    await register(unset, ctx.with(colour, "blue"));
    await clock.advance(60_000);
    expect(seen).toEqual(["blue"]);
  });

  test("removes nothing once the program has ended", async () => {
    const program = new AbortController();
    const seen = recorder();
    const clock = virtualClock();
    const captured = captureEvents();
    const { register } = runRegistry(
      [begin(), registrationState(), expire({ until: program.signal }), captured, seen],
      { clock },
    );
    await register(unset);
    program.abort();
    expect(clock.timers).toBe(0);
    await register(unset);
    await clock.advance(60_000);
    expect(clock.timers).toBe(0);
    expect(seen.calls).not.toContain("unregister");
  });
});
