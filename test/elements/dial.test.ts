import { describe, expect, test } from "vitest";
import { Code, tryEach, NsmError, remoteUrl, type Remotes } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { connectClient } from "../../src/elements/connect/index.js";
import { dial, nextRemote } from "../../src/elements/dial/index.js";
import { checkContext, describeElement, recorder, run } from "../../src/testing/index.js";
import { fakeRemotes } from "./support/remotes.js";

describeElement("dial", () => dial({ remotes: fakeRemotes().remotes }), {
  ctx: (ctx) => ctx.with(remoteUrl, "tcp://a"),
});

describe("dial", () => {
  /** A client chain, and a function that calls it with a URL. */
  function client() {
    const next = fakeRemotes();
    const bench = run([connectionState(), dial({ remotes: next.remotes }), connectClient()]);
    const to = (url: string) => bench.ctx.with(remoteUrl, url);
    return { ...bench, next, to };
  }

  test("calls the next hop in the Context, and provides its remote", async () => {
    const next = fakeRemotes();
    const remotes: unknown[] = [];
    const recordRemote = checkContext((ctx) => void remotes.push(nextRemote.get(ctx)?.url));
    const { ctx, request, close, leftovers } = run([
      connectionState(),
      dial(next),
      recordRemote,
      connectClient(),
    ]);
    await request({}, ctx.with(remoteUrl, "tcp://a"));
    await close(undefined, ctx);
    expect(next.calls).toEqual(["request tcp://a", "close tcp://a"]);
    expect(remotes).toEqual(["tcp://a", "tcp://a"]);
    expect(leftovers()).toEqual({});
  });

  test("forwards a call without a next hop", async () => {
    const { request } = run([connectionState(), dial(fakeRemotes())]);
    await expect(request()).resolves.toMatchObject({ networkService: "icmp" });
  });

  test("closes at the old next hop before it calls the new one", async () => {
    const { request, refresh, close, next, to, leftovers } = client();
    await request({}, to("tcp://a"));
    await refresh({}, to("tcp://a"));
    await refresh({}, to("tcp://b"));
    await close();
    expect(next.calls).toEqual([
      "request tcp://a",
      "request tcp://a",
      "close tcp://a",
      "request tcp://b",
      "close tcp://b",
    ]);
    expect(leftovers()).toEqual({});
  });

  test("an address in another notation is the same next hop", async () => {
    const next = fakeRemotes();
    const remotes: Remotes = {
      ...next.remotes,
      to: (url) => next.remotes.to(url.includes("://") ? url : `tcp://${url}`),
    };
    const { ctx, request, refresh } = run([connectionState(), dial({ remotes }), connectClient()]);
    await request({}, ctx.with(remoteUrl, "tcp://a"));
    await refresh({}, ctx.with(remoteUrl, "a"));
    expect(next.calls).toEqual(["request tcp://a", "request tcp://a"]);
  });

  test("calls the new next hop even if the Close at the old one fails", async () => {
    const { request, refresh, next, to } = client();
    next.onCall(({ method }) => {
      if (method === "close") throw new NsmError(Code.Unavailable, "gone");
    });
    await request({}, to("tcp://a"));
    await expect(refresh({}, to("tcp://b"))).resolves.toBeDefined();
    expect(next.calls.at(-1)).toBe("request tcp://b");
  });

  test("an old next hop that does not answer uses at most half of the time", async () => {
    const { ctx, request, refresh, next, to, clock, leftovers, close } = client();
    await request({}, to("tcp://a"));
    let requestedAt: number | undefined;
    next.onCall(async ({ method }, { signal }) => {
      if (method === "request") requestedAt = clock.now();
      else
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason as Error)),
        );
    });
    const started = clock.now();
    const done = ctx.withTimeout(10_000, (c) => refresh({}, c.with(remoteUrl, "tcp://b")));
    await clock.advance(10_000);
    await done;
    expect(requestedAt! - started).toBe(5_000);
    next.onCall(() => {});
    await close();
    expect(leftovers()).toEqual({});
  });

  test("does not call the new next hop after the deadline, but a later request does", async () => {
    const next = fakeRemotes();
    const seen = recorder();
    const { ctx, request, refresh } = run([connectionState(), dial(next), seen, connectClient()]);
    await request({}, ctx.with(remoteUrl, "tcp://a"));
    const to = ctx.with(remoteUrl, "tcp://b");
    const over = AbortSignal.abort(new NsmError(Code.DeadlineExceeded, "too late"));
    const refused = to.withSignal(over, (c) => refresh({}, c));
    await expect(refused).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(seen.calls).toEqual(["request", "close"]);
    await refresh({}, to);
    expect(next.calls).toEqual(["request tcp://a", "close tcp://a", "request tcp://b"]);
  });

  test("a failed first request is forgotten: the next one closes nothing", async () => {
    const { request, next, to, leftovers } = client();
    next.onCall(({ url }) => {
      if (url === "tcp://a") throw new NsmError(Code.Unavailable, "refused");
    });
    await expect(request({}, to("tcp://a"))).rejects.toMatchObject({ code: Code.Unavailable });
    expect(leftovers()).toEqual({});
    await request({}, to("tcp://b"));
    expect(next.calls).toEqual(["request tcp://a", "request tcp://b"]);
  });

  test("within one request each candidate starts without state", async () => {
    const next = fakeRemotes();
    next.onCall(({ url }) => {
      if (url === "tcp://a") throw new NsmError(Code.Unavailable, "refused");
    });
    const twoCandidates = {
      name: "two-candidates",
      request: (ctx, request, rest) =>
        tryEach(
          ctx,
          ["tcp://a", "tcp://b"],
          (url) => rest.request(ctx.with(remoteUrl, url), request),
          () => "both refused",
        ),
    } satisfies Parameters<typeof run>[0][number];
    const { request } = run([connectionState(), twoCandidates, dial(next), connectClient()]);
    await request();
    expect(next.calls).toEqual(["request tcp://a", "request tcp://b"]);
  });

  test("a next hop that returns is called again", async () => {
    const { request, refresh, next, to } = client();
    await request({}, to("tcp://a"));
    let up = false;
    next.onCall(() => {
      if (!up) throw new NsmError(Code.Unavailable, "down");
    });
    await expect(refresh({}, to("tcp://a"))).rejects.toMatchObject({ code: Code.Unavailable });
    up = true;
    await refresh({}, to("tcp://a"));
    expect(next.calls).toEqual(["request tcp://a", "request tcp://a", "request tcp://a"]);
  });

  test("closes at the address in the Context if the next hop has moved", async () => {
    const { request, close, next, to } = client();
    const connection = await request({}, to("tcp://a"));
    await close(connection, to("tcp://moved"));
    expect(next.calls.at(-1)).toBe("close tcp://moved");
  });

  test("closes an unknown connection at the address in the Context", async () => {
    const { close, next, to } = client();
    await close(undefined, to("tcp://a"));
    expect(next.calls).toEqual(["close tcp://a"]);
  });

  test("an invalid address is UNAVAILABLE", async () => {
    const { request, to } = client();
    await expect(request({}, to("nowhere"))).rejects.toMatchObject({
      code: Code.Unavailable,
      message: expect.stringContaining('"nowhere"') as string,
    });
  });
});
