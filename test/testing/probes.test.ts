import { describe, expect, test } from "vitest";
import { Code, Context, ContextKey, NsmError } from "../../src/core/index.js";
import {
  checkContext,
  failAfter,
  failOnce,
  hold,
  recorder,
  run,
  runRegistry,
  virtualClock,
} from "../../src/testing/index.js";

describe("recorder", () => {
  test("remembers requests and closes in order", async () => {
    const seen = recorder();
    const { request, close } = run([seen]);
    await request({ id: "a" });
    await close();
    await request({ id: "b" });
    expect(seen.calls).toEqual(["request", "close", "request"]);
    expect(seen.requests.map(({ connection }) => connection?.id)).toEqual(["a", "b"]);
    expect(seen.closes.map(({ id }) => id)).toEqual(["a"]);
  });

  test("also works in a registry's chain", async () => {
    const seen = recorder();
    const { register, find, unregister } = runRegistry([seen]);
    await register();
    await find();
    await unregister();
    expect(seen.calls).toEqual(["register", "find", "unregister"]);
    expect(seen.args<{ name: string }>("register").map(({ name }) => name)).toEqual(["nse"]);
  });
});

describe("failOnce and failAfter", () => {
  test("failOnce fails the first Request only", async () => {
    const { request } = run([failOnce(Code.Unavailable)]);
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
    await expect(request()).resolves.toBeDefined();
  });

  test("failAfter lets the first calls pass and fails all later ones", async () => {
    const { request } = run([failAfter(2, Code.Internal)]);
    await request();
    await request();
    await expect(request()).rejects.toMatchObject({ code: Code.Internal });
    await expect(request()).rejects.toMatchObject({ code: Code.Internal });
  });

  test("fail the chosen method, in the registry too", async () => {
    const { request, close } = run([failOnce(Code.Aborted, "close")]);
    await request();
    await expect(close()).rejects.toMatchObject({ code: Code.Aborted });
    const { find } = runRegistry([failOnce(Code.Aborted, "find")]);
    await expect(find()).rejects.toMatchObject({ code: Code.Aborted });
    await expect(find()).resolves.toEqual([]);
  });
});

describe("hold", () => {
  test("keeps calls waiting until released, then lets all through", async () => {
    const gate = hold();
    const { request, clock } = run([gate]);
    const calls = [request({ id: "a" }), request({ id: "b" })];
    await clock.settle();
    expect(gate.waiting).toBe(2);
    gate.release();
    await Promise.all(calls);
    await request({ id: "c" });
    expect(gate.waiting).toBe(0);
    gate.hold();
    const late = request();
    await clock.settle();
    expect(gate.waiting).toBe(1);
    gate.release();
    await late;
  });

  test("releases a canceled call, with the reason", async () => {
    const gate = hold();
    const caller = new AbortController();
    const ctx = Context.background({ signal: caller.signal, clock: virtualClock() });
    const { request, clock, leftovers } = run([gate], { ctx });
    const call = request();
    await clock.settle();
    caller.abort(new NsmError(Code.Cancelled, "gone"));
    await expect(call).rejects.toMatchObject({ code: Code.Cancelled, message: "gone" });
    expect(gate.waiting).toBe(0);
    expect(leftovers()).toEqual({});
    await expect(request()).rejects.toMatchObject({ code: Code.Cancelled });
  });
});

test("checkContext fails a call whose Context does not have what it should", async () => {
  const key = new ContextKey<string>("colour");
  const check = checkContext((ctx) => expect(ctx.get(key)).toBe("red"));
  const { request, ctx } = run([check]);
  await expect(request({}, ctx.with(key, "red"))).resolves.toBeDefined();
  await expect(request()).rejects.toThrow(/expected undefined to be 'red'/);
});
