import { describe, expect, test } from "vitest";
import { patchSegment, toTimestamp, type Connection } from "../../src/api/index.js";
import { Code, Context, logger, silent, type NetworkServiceElement } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginServer } from "../../src/elements/begin/index.js";
import { timeout } from "../../src/elements/timeout/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import {
  describeElement,
  failAfter,
  failOnce,
  hold,
  recorder,
  run,
  sampleConnection,
  virtualClock,
  type Run,
} from "../../src/testing/index.js";

describeElement("timeout", () => timeout());

const LIFETIME_MS = 60_000;

function server(
  ...behind: NetworkServiceElement[]
): Run & { sendRequest(lifeMs?: number, ctx?: Context): Promise<Connection> } {
  const chain = run([updatePath({ name: "nse" }), beginServer(), connectionState(), timeout(), ...behind]);
  const sendRequest = (lifeMs = LIFETIME_MS, ctx = chain.ctx): Promise<Connection> => {
    const now = chain.clock.now();
    const connection = patchSegment(sampleConnection(now), 0, { expires: toTimestamp(now + lifeMs) });
    return chain.send({ connection, mechanismPreferences: [] }, ctx);
  };
  return { ...chain, sendRequest };
}

describe("timeout", () => {
  test("closes a connection when its caller's token expires, not before", async () => {
    const seen = recorder();
    const { sendRequest, clock, leftovers } = server(seen);
    await sendRequest();
    await clock.advance(LIFETIME_MS - 1);
    expect(seen.calls).toEqual(["request"]);
    await clock.advance(1);
    expect(seen.calls).toEqual(["request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("closes earlier by the time limit of the Request, so that the Close runs with valid tokens", async () => {
    const seen = recorder();
    const { sendRequest, clock, ctx } = server(seen);
    await ctx.withTimeout(15_000, (c) => sendRequest(LIFETIME_MS, c));
    await clock.advance(LIFETIME_MS - 15_001);
    expect(seen.closes).toHaveLength(0);
    await clock.advance(1);
    expect(seen.closes).toHaveLength(1);
  });

  test("keeps a connection for two thirds of its token's lifetime, for any time limit of the Request", async () => {
    const seen = recorder();
    const { sendRequest, clock, ctx } = server(seen);
    await ctx.withTimeout(10 * LIFETIME_MS, (c) => sendRequest(LIFETIME_MS, c));
    await clock.advance((LIFETIME_MS * 2) / 3 - 1);
    expect(seen.closes).toHaveLength(0);
    await clock.advance(1);
    expect(seen.closes).toHaveLength(1);
  });

  test("starts from the last successful refresh", async () => {
    const seen = recorder();
    const { sendRequest, clock } = server(seen);
    await sendRequest();
    await clock.advance(LIFETIME_MS / 2);
    await sendRequest();
    await clock.advance(LIFETIME_MS - 1);
    expect(seen.closes).toHaveLength(0);
    await clock.advance(1);
    expect(seen.closes).toHaveLength(1);
  });

  test("closes at the earlier time when a refresh fails", async () => {
    const seen = recorder();
    const { sendRequest, clock, leftovers } = server(seen, failAfter(1, Code.Unavailable));
    await sendRequest();
    await clock.advance(LIFETIME_MS / 2);
    await expect(sendRequest()).rejects.toMatchObject({ code: Code.Unavailable });
    await clock.advance(LIFETIME_MS / 2);
    expect(seen.calls).toEqual(["request", "request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("does not close a closed connection, or one that is being refreshed", async () => {
    const gate = hold();
    gate.release();
    const seen = recorder();
    const { sendRequest, close, clock, leftovers } = server(seen, gate);
    await sendRequest();
    gate.hold();
    const refreshed = sendRequest(2 * LIFETIME_MS);
    // The timer fires during the refresh. The Close waits for its turn and is then skipped.
    await clock.advance(LIFETIME_MS);
    gate.release();
    await refreshed;
    await clock.settle();
    expect(seen.calls).toEqual(["request", "request"]);
    await close();
    await clock.advance(3 * LIFETIME_MS);
    expect(seen.calls).toEqual(["request", "request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("leaves an unknown connection for a later Close", async () => {
    const seen = recorder();
    const { sendRequest, close, clock } = server(seen);
    await sendRequest();
    await clock.advance(LIFETIME_MS);
    await close();
    expect(seen.closes).toHaveLength(1);
  });

  test("accepts a token that has expired on arrival", async () => {
    const seen = recorder();
    const { sendRequest, clock, leftovers } = server(seen);
    await sendRequest(0);
    await clock.advance(0);
    await sendRequest(-1_000);
    await clock.advance(0);
    expect(seen.calls).toEqual(["request", "close", "request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("rejects a caller whose segment has no expiry before any other work", async () => {
    const seen = recorder();
    const { request, clock, send, leftovers } = server(seen);
    const connection = patchSegment(sampleConnection(clock.now()), 0, { expires: undefined });
    await expect(request({ path: connection.path })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: `the caller's token needs an expiry: the segment of "client" has no expiry`,
    });
    await expect(
      send({ connection: { ...connection, path: undefined }, mechanismPreferences: [] }),
    ).rejects.toThrow("the caller's token needs an expiry: the path has no segment of the caller");
    expect(seen.calls).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("logs a failed Close, and still forgets the connection", async () => {
    const warnings: string[] = [];
    const { sendRequest, clock, ctx, leftovers } = server(failOnce(Code.Unavailable, "close"));
    await sendRequest(
      LIFETIME_MS,
      ctx.with(logger, { ...silent, warn: (_fields, message) => void warnings.push(message) }),
    );
    await clock.advance(LIFETIME_MS);
    expect(warnings).toEqual(["timeout failed"]);
    expect(leftovers()).toEqual({});
  });

  test("holds nothing after a thousand connections are requested and closed concurrently", async () => {
    const seen = recorder();
    const clock = virtualClock();
    const { request, close, leftovers } = run(
      [updatePath({ name: "nse" }), beginServer(), connectionState(), timeout(), seen],
      { clock },
    );
    const ids = Array.from({ length: 1_000 }, (_, i) => `id-${i % 20}`);
    await Promise.all(
      ids.map(async (id) => {
        const expired = patchSegment(sampleConnection(0, { id }), 0, { expires: toTimestamp(clock.now()) });
        const connection = await request({ id, path: expired.path });
        await close(connection);
      }),
    );
    await clock.advance(0);
    expect(leftovers()).toEqual({});
    expect(seen.closes.length).toBeGreaterThanOrEqual(20);
  });

  test("cancels its timers and closes nothing when the program ends", async () => {
    const program = new AbortController();
    const seen = recorder();
    const { request, clock, leftovers } = run([
      updatePath({ name: "nse" }),
      beginServer(),
      connectionState(),
      timeout({ until: program.signal }),
      seen,
    ]);
    await request();
    program.abort();
    expect(clock.timers).toBe(0);
    expect(leftovers()).not.toHaveProperty("timeout");
    expect(seen.calls).toEqual(["request"]);
  });
});
