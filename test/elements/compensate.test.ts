import { describe, expect, test } from "vitest";
import { PathSegment, State } from "../../src/api/index.js";
import { Code, codeName, type NetworkServiceElement } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { compensate } from "../../src/elements/compensate/index.js";
import {
  describeElement,
  failAfter,
  failOnce,
  hold,
  recorder,
  run,
  sampleConnection,
} from "../../src/testing/index.js";

/** A next hop that did not receive the Request accepts its Close. */
function answersUnknownCloses(): NetworkServiceElement {
  const known = new Set<string>();
  return {
    name: "answers-unknown-closes",
    async request(ctx, request, next) {
      const response = await next.request(ctx, request);
      known.add(response.id);
      return response;
    },
    close: async (ctx, connection, next) =>
      known.delete(connection.id) ? next.close(ctx, connection) : undefined,
  };
}

describeElement("compensate", () => compensate(), { behind: [answersUnknownCloses()] });

describe("compensate", () => {
  const chainWith = (...behind: NetworkServiceElement[]) => {
    const seen = recorder();
    return { seen, ...run([connectionState(), compensate(), seen, ...behind]) };
  };

  test.each(
    [Code.DeadlineExceeded, Code.Unavailable, Code.Cancelled, Code.Unknown, Code.Internal].map(
      (code) => [codeName(code), code] as const,
    ),
  )("a first request that ended in %s is closed, as it was sent", async (_name, code) => {
    const { seen, request, leftovers } = chainWith(failOnce(code));
    await expect(request({ labels: { a: "1" } })).rejects.toMatchObject({ code });
    expect(seen.calls).toEqual(["request", "close"]);
    expect(seen.closes).toEqual([seen.requests[0]!.connection]);
    expect(leftovers()).toEqual({});
  });

  test.each(
    [Code.NotFound, Code.PermissionDenied, Code.InvalidArgument, Code.ResourceExhausted].map(
      (code) => [codeName(code), code] as const,
    ),
  )("%s means that no connection was established: nothing is closed", async (_name, code) => {
    const { seen, request } = chainWith(failOnce(code));
    await expect(request()).rejects.toMatchObject({ code });
    expect(seen.calls).toEqual(["request"]);
  });

  test("a failed refresh keeps the connection", async () => {
    const { seen, request, refresh } = chainWith(failAfter(1, Code.Unavailable));
    await request();
    await expect(refresh()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(seen.calls).toEqual(["request", "request"]);
  });

  test("a connection that other hops may hold is not closed, except in a reselect", async () => {
    const { clock, seen, request } = chainWith(failAfter(0, Code.Unavailable));
    const { path } = sampleConnection(clock.now());
    const nextHop = {
      ...path!,
      pathSegments: [...path!.pathSegments, PathSegment.create({ name: "nsmgr", id: "m" })],
    };
    await expect(request({ path: nextHop })).rejects.toThrow();
    expect(seen.closes).toEqual([]);
    await expect(request({ path: nextHop, state: State.RESELECT_REQUESTED })).rejects.toThrow();
    expect(seen.closes).toHaveLength(1);
  });

  test("a failed Close does not hide the failure of the Request", async () => {
    const { request } = chainWith(failOnce(Code.Unavailable), failOnce(Code.Internal, "close"));
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("a next hop that does not answer gets five seconds", async () => {
    const gate = hold();
    const { ctx, clock, request, leftovers } = chainWith(gate);
    const started = clock.now();
    let failed: number | undefined;
    const call = ctx.withTimeout(60_000, (c) => request({}, c)).finally(() => (failed = clock.now()));
    call.catch(() => {});
    await clock.advance(120_000);
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(failed! - started).toBe(65_000);
    expect(leftovers()).toEqual({});
  });
});
