import { lastValueFrom, throwError, toArray } from "rxjs";
import { describe, expect, test } from "vitest";
import type { NetworkServiceEndpointResponse } from "../../../src/api/index.js";
import { Code, endpointRegistryChain, NsmError, type EndpointRegistry } from "../../../src/core/index.js";
import { retry } from "../../../src/registry/elements/retry/index.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import { checkContext, hold, recorder, runRegistry, sampleEndpoint } from "../../../src/testing/index.js";
import { listen } from "../support.js";

/** Fails the first `times` calls of every method. */
function failing(times: number, code: Code = Code.Unavailable) {
  const left = new Map<string, number>();
  return checkContext((_ctx, method) => {
    const rest = left.get(method) ?? times;
    left.set(method, rest - 1);
    if (rest > 0) throw new NsmError(code, `failure ${times - rest + 1}`);
  });
}

const plainly = { intervalMs: 100, maxIntervalMs: 400, random: () => 0 };

describe("retry", () => {
  test("retries Register, Find and Unregister until they succeed", async () => {
    const seen = recorder();
    const { register, find, unregister, clock, leftovers } = runRegistry([
      retry(plainly),
      seen,
      failing(5),
      memoryEndpoints(),
    ]);
    const start = clock.now();
    const registered = register();
    // 100 + 200 + 400 + 400 + 400
    await clock.advance(1_500);
    await registered;
    expect(seen.calls.filter((method) => method === "register")).toHaveLength(6);
    const found = find();
    await clock.advance(1_500);
    expect(await found).toHaveLength(1);
    expect(seen.calls.filter((method) => method === "find")).toHaveLength(6);
    const unregistered = unregister();
    await clock.advance(1_500);
    await unregistered;
    expect(seen.calls.filter((method) => method === "unregister")).toHaveLength(6);
    expect(clock.now() - start).toBe(4_500);
    expect(leftovers()).toEqual({});
  });

  test("shortens delays by up to one half at random", async () => {
    const seen = recorder();
    const { register, clock } = runRegistry([retry({ ...plainly, random: () => 1 }), seen, failing(1)]);
    const registered = register();
    await clock.advance(49);
    expect(seen.calls).toHaveLength(1);
    await clock.advance(1);
    expect(seen.calls).toHaveLength(2);
    await registered;
  });

  test.each([Code.PermissionDenied, Code.InvalidArgument, Code.Unimplemented])(
    "does not retry a permanent failure (%i)",
    async (code) => {
      const seen = recorder();
      const { register, find, unregister, leftovers } = runRegistry([retry(plainly), seen, failing(1, code)]);
      await expect(register()).rejects.toMatchObject({ code });
      await expect(find()).rejects.toMatchObject({ code });
      await expect(unregister(sampleEndpoint(0))).rejects.toMatchObject({ code });
      expect(seen.calls).toEqual(["register", "find", "unregister"]);
      expect(leftovers()).toEqual({});
    },
  );

  test("gives each try its own time limit, within the caller's", async () => {
    const remaining: (number | undefined)[] = [];
    const gate = hold();
    const recordRemaining = checkContext((ctx) => void remaining.push(ctx.remainingMs));
    const { register, ctx, clock, leftovers } = runRegistry([
      retry({ ...plainly, tryTimeoutMs: 1_000 }),
      recordRemaining,
      gate,
    ]);
    const call = ctx.withTimeout(2_500, (c) => register({}, c)).catch((error: unknown) => error);
    await clock.advance(2_500);
    expect(remaining).toEqual([1_000, 1_000, 200]);
    expect(await call).toMatchObject({
      code: Code.DeadlineExceeded,
      cause: { message: "not finished within 1000 ms" },
    });
    expect(leftovers()).toEqual({});
  });

  test("reports the last failure when the caller's deadline expires during a delay", async () => {
    const { register, ctx, clock, leftovers } = runRegistry([retry(plainly), failing(99)]);
    const call = ctx.withTimeout(250, (c) => register({}, c)).catch((error: unknown) => error);
    await clock.advance(250);
    expect(await call).toMatchObject({
      code: Code.DeadlineExceeded,
      cause: { code: Code.Unavailable, message: "failure 2" },
    });
    expect(leftovers()).toEqual({});
  });

  test("ends when the caller cancels, with the cause for a Find", async () => {
    const { ctx, clock, leftovers } = runRegistry([]);
    const refusing: EndpointRegistry = {
      register: () => Promise.reject(new NsmError(Code.Unavailable, "down")),
      unregister: () => Promise.reject(new NsmError(Code.Unavailable, "down")),
      find: () => throwError(() => new NsmError(Code.Unavailable, "down")),
    };
    const chain = endpointRegistryChain([retry(plainly)], { tail: refusing });
    const caller = new AbortController();
    const calls = await ctx.withSignal(caller.signal, async (c) => {
      const all = [
        chain.register(c, sampleEndpoint(0)),
        lastValueFrom(chain.find(c, { networkServiceEndpoint: undefined, watch: false }).pipe(toArray())),
      ];
      const settled = Promise.allSettled(all);
      await clock.settle();
      caller.abort(new NsmError(Code.Cancelled, "never mind"));
      return settled;
    });
    for (const call of calls) {
      expect(call).toMatchObject({
        status: "rejected",
        reason: { code: Code.Cancelled, cause: { message: "down" } },
      });
    }
    expect(leftovers()).toEqual({});
  });

  test("does not retry a Find that has shown an entry, because its subscriber would see it twice", async () => {
    const store = memoryEndpoints();
    const { register, ctx, clock, unregister } = runRegistry([store]);
    await register();
    const breaking: EndpointRegistry = {
      ...endpointRegistryChain([store]),
      find: (c, query) => endpointRegistryChain([store], { tail: down }).find(c, query),
    };
    const down: EndpointRegistry = {
      register: async (_ctx, endpoint) => endpoint,
      unregister: async () => {},
      find: () => throwError(() => new NsmError(Code.Unavailable, "down")),
    };
    const reader = listen<NetworkServiceEndpointResponse>(
      endpointRegistryChain([retry(plainly)], { tail: breaking }).find(ctx, {
        networkServiceEndpoint: undefined,
        watch: false,
      }),
    );
    await clock.settle();
    expect(reader.seen).toHaveLength(1);
    expect(reader.end).toMatchObject({ error: { code: Code.Unavailable } });
    await unregister();
  });

  test("leaves no timer when the subscriber of a Find leaves during a delay", async () => {
    const { ctx, clock, leftovers } = runRegistry([]);
    const chain = endpointRegistryChain([retry(plainly), failing(99)]);
    const reader = listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: true }));
    await clock.settle();
    expect(clock.timers).toBe(1);
    reader.stop();
    expect(leftovers()).toEqual({});
  });
});
