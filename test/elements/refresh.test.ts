import { describe, expect, test } from "vitest";
import { Path, PathSegment, toTimestamp } from "../../src/api/index.js";
import { Code, type Clock, type NetworkServiceElement } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginClient } from "../../src/elements/begin/index.js";
import { refresh } from "../../src/elements/refresh/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import {
  describeElement,
  failAfter,
  failOnce,
  hold,
  recorder,
  run,
  virtualClock,
  type Run,
} from "../../src/testing/index.js";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

describeElement("refresh", ({ until }) => refresh({ until }), {
  before: [updatePath({ name: "client" }), beginClient(), connectionState()],
});

/** The next hops answer with a path whose segments have these lifetimes. The own segment is at `index`. */
function answering(
  clock: Clock,
  lifetimes: readonly (number | undefined)[],
  index: number,
): NetworkServiceElement {
  return {
    name: "answering",
    async request(_ctx, request) {
      const pathSegments = lifetimes.map((ms, i) =>
        PathSegment.create({
          name: i === index ? "client" : `hop-${i}`,
          id: i === index ? request.connection!.id : `id-${i}`,
          expires: ms === undefined ? undefined : toTimestamp(clock.now() + ms),
        }),
      );
      return { ...request.connection!, path: Path.create({ index, pathSegments }) };
    },
  };
}

function client(behind: NetworkServiceElement[], clock = virtualClock()): Run {
  const refreshing = refresh({ random: () => 0 });
  return run([updatePath({ name: "client" }), beginClient(), connectionState(), refreshing, ...behind], {
    clock,
  });
}

describe("refresh", () => {
  test.each([
    ["a path of one segment", [HOUR], 0, 20 * MINUTE],
    ["the head of a longer one", [15 * MINUTE, 15 * MINUTE, 15 * MINUTE, 15 * MINUTE], 0, 3 * MINUTE],
    ["the end of two", [HOUR, 3 * MINUTE], 1, 54 * SECOND],
    ["the end of three", [HOUR, 5 * SECOND, 3 * MINUTE], 2, 5_000 / 3],
    ["the end of four", [200, MINUTE, 100, HOUR], 3, 35],
    ["segments some of which do not say", [undefined, 10 * MINUTE], 0, 2 * MINUTE],
  ])("starts for %s at its share of the first expiry", async (_, lifetimes, index, delay) => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close, leftovers } = client([seen, answering(clock, lifetimes, index)], clock);
    const start = clock.now();
    await request();
    await clock.advance(Math.ceil(delay) - 1);
    expect(seen.requests).toHaveLength(1);
    await clock.advance(1);
    expect(seen.requests).toHaveLength(2);
    expect(clock.now() - start).toBe(Math.ceil(delay));
    await close(seen.requests[0]!.connection);
    expect(leftovers()).toEqual({});
  });

  test("starts up to one tenth earlier at random, so that clients that started together spread out", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request } = run(
      [
        updatePath({ name: "client" }),
        beginClient(),
        connectionState(),
        refresh({ random: () => 0.5 }),
        seen,
        answering(clock, [HOUR], 0),
      ],
      { clock },
    );
    await request();
    await clock.advance(19 * MINUTE - 1);
    expect(seen.requests).toHaveLength(1);
    await clock.advance(1);
    expect(seen.requests).toHaveLength(2);
  });

  test("repeats, with the connection of the last answer", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close } = client([seen, answering(clock, [10 * MINUTE, 10 * MINUTE], 0)], clock);
    await request();
    await clock.advance(20 * MINUTE);
    expect(seen.requests).toHaveLength(11);
    const expiries = seen.requests.slice(1).map((r) => r.connection!.path!.pathSegments[1]!.expires!.seconds);
    expect(expiries).toEqual([...expiries].sort((a, b) => a - b));
    expect(new Set(expiries).size).toBe(10);
    await close();
  });

  test("does not start if no segment has an expiry", async () => {
    const clock = virtualClock();
    const { request, leftovers, close } = client([answering(clock, [undefined, undefined], 0)], clock);
    await request();
    expect(clock.timers).toBe(0);
    await close();
    expect(leftovers()).toEqual({});
  });

  test("does not enter a hot loop when tokens have expired on arrival", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close } = client([seen, answering(clock, [-1, MINUTE], 0)], clock);
    await request();
    await clock.advance(10 * SECOND);
    expect(seen.requests).toHaveLength(11);
    await close();
  });

  test("is retried after 200 ms when it fails, then with growing delays, then as usual", async () => {
    const times: number[] = [];
    const clock = virtualClock();
    const start = clock.now();
    let broken = false;
    const { request, close, leftovers } = client(
      [
        {
          name: "breaking",
          request(ctx, r, next) {
            times.push(clock.now() - start);
            if (broken) return Promise.reject(new Error("no"));
            return next.request(ctx, r);
          },
        },
        answering(clock, [3 * MINUTE], 0),
      ],
      clock,
    );
    await request();
    broken = true;
    await clock.advance(MINUTE + 40 * SECOND);
    expect(times).toEqual([0, 60_000, 60_200, 60_600, 61_400, 63_000, 66_200, 72_600, 82_600, 92_600]);
    broken = false;
    await clock.advance(MINUTE + 3 * SECOND);
    expect(times.slice(10)).toEqual([102_600, 162_600]);
    await close();
    expect(leftovers()).toEqual({});
  });

  test("restarts its timer on a Request of the user", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close } = client([seen, answering(clock, [3 * MINUTE], 0)], clock);
    await request();
    await clock.advance(MINUTE - 1);
    await request();
    await clock.advance(MINUTE - 1);
    expect(seen.requests).toHaveLength(2);
    await clock.advance(1);
    expect(seen.requests).toHaveLength(3);
    await close();
  });

  test("keeps its timer when a Request of the user fails", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close } = client(
      [seen, failAfter(1, Code.Unavailable), answering(clock, [3 * MINUTE], 0)],
      clock,
    );
    await request();
    await clock.advance(MINUTE / 2);
    await expect(request()).rejects.toThrow();
    await clock.advance(MINUTE / 2);
    expect(seen.requests).toHaveLength(3);
    await close();
  });

  test("does not start after a failed first Request or after a Close", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close, leftovers } = client(
      [seen, failOnce(Code.Unavailable), answering(clock, [MINUTE], 0)],
      clock,
    );
    await expect(request()).rejects.toThrow();
    expect(clock.timers).toBe(0);
    await request();
    await close();
    await clock.advance(HOUR);
    expect(seen.calls).toEqual(["request", "request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("does not delay a Close", async () => {
    const gate = hold();
    gate.release();
    const clock = virtualClock();
    const seen = recorder();
    const { request, close, leftovers } = client([seen, gate, answering(clock, [3 * MINUTE], 0)], clock);
    await request();
    gate.hold();
    await clock.advance(MINUTE);
    expect(gate.waiting).toBe(1);
    const closed = close();
    await clock.settle();
    gate.release();
    await closed;
    await clock.settle();
    expect(seen.calls).toEqual(["request", "request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("ends with the program", async () => {
    const program = new AbortController();
    const seen = recorder();
    const clock = virtualClock();
    const { request } = run(
      [
        updatePath({ name: "client" }),
        beginClient(),
        connectionState(),
        refresh({ until: program.signal }),
        seen,
        failAfter(1, Code.Unavailable),
        answering(clock, [3 * MINUTE], 0),
      ],
      { clock },
    );
    await request();
    await clock.advance(MINUTE + 500);
    expect(seen.requests.length).toBeGreaterThan(1);
    const before = seen.requests.length;
    program.abort();
    await clock.settle();
    expect(clock.timers).toBe(0);
    await clock.advance(HOUR);
    expect(seen.requests).toHaveLength(before);
  });
});
