import { describe, expect, test } from "vitest";
import { PathSegment, type Connection } from "../../src/api/index.js";
import { chain, Code, debugState, NsmError, remoteUrl, type NetworkService } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { beginClient, beginServer } from "../../src/elements/begin/index.js";
import { clientUrl } from "../../src/elements/client-url/index.js";
import { connectClient, connectServer } from "../../src/elements/connect/index.js";
import { dial } from "../../src/elements/dial/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import {
  describeElement,
  failAfter,
  failOnce,
  recorder,
  run,
  sampleRequest,
  type Recorder,
} from "../../src/testing/index.js";
import { fakeRemotes } from "./support/remotes.js";

describeElement("connect/server", () => connectServer(chain([])));

/** A service that records its calls and can be made to fail. */
function service(...elements: Parameters<typeof chain>[0]): { client: NetworkService; seen: Recorder } {
  const seen = recorder();
  return { client: chain([seen, ...elements]), seen };
}

describe("connect/server", () => {
  test("forwards the request unchanged and continues with the answer", async () => {
    const answer = { labels: { from: "client" } };
    const seen = recorder();
    const client: NetworkService = {
      request: async (_ctx, request) => ({ ...request.connection!, ...answer }),
      close: async () => {},
    };
    const { clock, send } = run([connectionState(), connectServer(client), seen]);
    const request = sampleRequest(clock.now());
    expect(await send(request)).toEqual({ ...request.connection, ...answer });
    expect(seen.requests).toEqual([{ ...request, connection: { ...request.connection, ...answer } }]);
  });

  test("a connection that later elements reject is closed at the client side", async () => {
    const { client, seen } = service();
    const { request, leftovers } = run([
      connectionState(),
      connectServer(client),
      failOnce(Code.ResourceExhausted),
    ]);
    await expect(request()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(seen.calls).toEqual(["request", "close"]);
    expect(leftovers()).toEqual({});
  });

  test("the rejection is reported even if that Close fails", async () => {
    const { client } = service(failOnce(Code.Unavailable, "close"));
    const { request } = run([connectionState(), connectServer(client), failOnce(Code.ResourceExhausted)]);
    await expect(request()).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  test("a rejected refresh keeps the connection", async () => {
    const { client, seen } = service();
    const { request, refresh } = run([connectionState(), connectServer(client), failAfter(1, Code.Internal)]);
    await request();
    await expect(refresh()).rejects.toMatchObject({ code: Code.Internal });
    expect(seen.calls).toEqual(["request", "request"]);
  });

  test("Close reaches both sides, even if one fails", async () => {
    const behind = recorder();
    const { client, seen } = service(failOnce(Code.Unavailable, "close"));
    const { request, close } = run([connectionState(), connectServer(client), behind]);
    await request();
    await expect(close()).rejects.toMatchObject({ code: Code.Unavailable });
    expect([seen.closes.length, behind.closes.length]).toEqual([1, 1]);
  });

  test("if Close fails on both sides, the error has the server's code and both causes", async () => {
    const { client } = service(failOnce(Code.Unavailable, "close"));
    const { request, close } = run([
      connectionState(),
      connectServer(client),
      failOnce(Code.Internal, "close"),
    ]);
    await request();
    const error = await close().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: Code.Internal });
    const { errors } = (error as NsmError).cause as AggregateError;
    expect(errors).toMatchObject([{ code: Code.Unavailable }, { code: Code.Internal }]);
  });

  test("a hundred connections at once are counted exactly", async () => {
    const next = fakeRemotes();
    const elements = [
      updatePath({ name: "hop" }),
      beginClient(),
      connectionState(),
      clientUrl("tcp://a"),
      dial(next),
      connectClient(),
    ];
    const client = chain(elements);
    const { clock, send, close, leftovers } = run([
      updatePath({ name: "hop" }),
      beginServer(),
      connectionState(),
      connectServer(client, { debugState: () => debugState(elements) }),
    ]);
    const request = (i: number): Promise<Connection> => send(sampleRequest(clock.now(), { id: `id-${i}` }));
    const ids = Array.from({ length: 100 }, (_, i) => i);
    await Promise.all(ids.map(request));
    const connections = await Promise.all(ids.map(request));
    await Promise.all(connections.map((connection) => close(connection)));
    const count = (method: string): number => next.arrivals.filter((call) => call.method === method).length;
    expect([count("request"), count("close")]).toEqual([200, 100]);
    expect(new Set(next.arrivals.map(({ connection }) => connection.id)).size).toBe(100);
    expect(leftovers()).toEqual({});
  });
});

describe("connect/client", () => {
  const elements = (next = fakeRemotes()) => [connectionState(), dial(next), connectClient()];

  test("returns the answer of the next hop, or throws its failure", async () => {
    const next = fakeRemotes();
    const { ctx, request } = run(elements(next));
    const to = ctx.with(remoteUrl, "tcp://a");
    expect(await request({ labels: { a: "1" } }, to)).toMatchObject({ labels: { a: "1" } });
    next.onCall(() => {
      throw new NsmError(Code.ResourceExhausted, "full");
    });
    await expect(request({}, to)).rejects.toMatchObject({ code: Code.ResourceExhausted, message: "full" });
  });

  test("a request without a next hop fails with the reason", async () => {
    await expect(run(elements()).request()).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  test("a Close fails with NOT_FOUND and names the hop if the next hop is no longer registered", async () => {
    const { close, clock } = run(elements());
    const { connection } = sampleRequest(clock.now());
    const path = connection!.path!;
    const nextHop = {
      ...connection!,
      path: { ...path, pathSegments: [...path.pathSegments, PathSegment.create({ name: "nse-1" })] },
    };
    await expect(close(nextHop)).rejects.toMatchObject({
      code: Code.NotFound,
      message: expect.stringContaining('"nse-1"') as string,
    });
  });

  test("a Close of a connection without a next hop succeeds", async () => {
    await expect(run(elements()).close()).resolves.toBeUndefined();
  });

  test("must come after dial()", () => {
    expect(() => chain([connectionState(), connectClient()])).toThrow(
      "connect/client must stand inside dial, which this chain lacks: put dial before connect/client",
    );
  });
});
