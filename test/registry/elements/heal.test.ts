import { merge, mergeMap, NEVER, Subject, throwError, type Observable } from "rxjs";
import { describe, expect, test } from "vitest";
import type { NetworkServiceEndpointQuery, NetworkServiceEndpointResponse } from "../../../src/api/index.js";
import {
  Code,
  endpointRegistryChain,
  NsmError,
  type ChainElement,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { registrationState } from "../../../src/registry/elements/registration-state/index.js";
import { delayed } from "../../../src/registry/delayed.js";
import { begin } from "../../../src/registry/elements/begin/index.js";
import { heal } from "../../../src/registry/elements/heal/index.js";
import { endpointKind } from "../../../src/registry/kinds.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import {
  describeRegistryElement,
  recorder,
  runRegistry,
  sampleEndpoint,
  virtualClock,
} from "../../../src/testing/index.js";
import { failSwitch, withoutContextValues, listen } from "../support.js";

const random = (): number => 0;

/** Watches that stay open and show nothing, so that only the calls are visible. */
const silentWatch: ChainElement<EndpointRegistry> = {
  name: "silent-watch",
  find: (ctx, query, next) => (query.watch ? NEVER : next.find(ctx, query)),
};

describeRegistryElement("heal", ({ until }) => heal({ kind: endpointKind, until }), {
  before: [begin(), registrationState()],
  behind: [silentWatch],
});

/** A registry that can lose its entries and its streams. */
function losable() {
  const clock = virtualClock();
  const seen = recorder();
  const broken = failSwitch();
  let store = memoryEndpoints();
  const down = new Subject<void>();
  const chain = (): EndpointRegistry => withoutContextValues(endpointRegistryChain([store]));
  const connection: ChainElement<EndpointRegistry> = {
    name: "connection",
    register: (ctx, endpoint) => chain().register(ctx, endpoint),
    unregister: (ctx, endpoint) => chain().unregister(ctx, endpoint),
    find(ctx, query): Observable<NetworkServiceEndpointResponse> {
      if (broken.on) return throwError(() => new NsmError(Code.Unavailable, "nobody listens"));
      const gone = down.pipe(mergeMap(() => throwError(() => new NsmError(Code.Unavailable, "gone"))));
      const found = chain().find(ctx, query);
      return query.watch ? merge(found, gone) : found;
    },
  };
  const program = new AbortController();
  const bench = runRegistry(
    [
      begin({ until: program.signal }),
      registrationState(),
      heal({ kind: endpointKind, until: program.signal, random }),
      seen,
      broken,
      connection,
    ],
    { clock },
  );
  return {
    ...bench,
    seen,
    program,
    /** The registry is down until `restart`. */
    kill() {
      broken.on = true;
      down.next();
    },
    restart() {
      store = memoryEndpoints();
      broken.on = false;
    },
    tail: endpointRegistryChain([broken, connection]),
    direct: () => endpointRegistryChain([store]),
    registers: () => seen.calls.filter((method) => method === "register").length,
  };
}

const watchAll: NetworkServiceEndpointQuery = { networkServiceEndpoint: undefined, watch: true };

describe("heal", () => {
  test("registers again when the registry was lost, and continues to watch", async () => {
    const registry = losable();
    const { register, unregister, find, clock, leftovers } = registry;
    await register();
    for (let i = 0; i < 3; i++) {
      await clock.advance(60_000);
      registry.kill();
      await clock.advance(30_000);
      registry.restart();
      expect(await find()).toEqual([]);
      await clock.advance(10_000);
      expect(await find()).toHaveLength(1);
    }
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("increases the delay with each try", async () => {
    const registry = losable();
    const { register, unregister, clock } = registry;
    await register();
    await clock.advance(60_000);
    registry.kill();
    // After 0.1, 0.2, 0.4 and 0.8 s.
    await clock.advance(1_500);
    expect(registry.registers()).toBe(1 + 4);
    registry.restart();
    await clock.advance(1_600);
    await unregister();
  });

  test("registers again when another process unregistered the entry", async () => {
    const registry = losable();
    const { register, unregister, find, ctx, clock, leftovers } = registry;
    await register();
    await registry.direct().unregister(ctx, sampleEndpoint(0));
    expect(await find()).toEqual([]);
    await clock.advance(100);
    expect(await find()).toHaveLength(1);
    await unregister();
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("registers again when the entry was unregistered before the watch was established", async () => {
    const store = memoryEndpoints();
    const late: ChainElement<EndpointRegistry> = {
      name: "late",
      find: (ctx, query, next) =>
        query.watch ? delayed(ctx, 500).pipe(mergeMap(() => next.find(ctx, query))) : next.find(ctx, query),
    };
    const { register, unregister, find, ctx, clock, leftovers } = runRegistry([
      begin(),
      registrationState(),
      heal({ kind: endpointKind, random }),
      late,
      store,
    ]);
    await register();
    await clock.settle();
    await endpointRegistryChain([store]).unregister(ctx, sampleEndpoint(0));
    await clock.advance(1_100);
    expect(await find()).toHaveLength(1);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("watches nothing when an earlier element rejects the answer", async () => {
    const element = heal({ kind: endpointKind, random });
    const strict: ChainElement<EndpointRegistry> = {
      name: "strict",
      async register(ctx, endpoint, next) {
        await next.register(ctx, endpoint);
        throw new NsmError(Code.FailedPrecondition, "not like this");
      },
    };
    const { register, clock, leftovers } = runRegistry([
      begin(),
      registrationState(),
      strict,
      element,
      memoryEndpoints(),
    ]);
    await expect(register()).rejects.toMatchObject({ code: Code.FailedPrecondition });
    await clock.settle();
    expect(leftovers()).toEqual({ memory: { entries: 1 } });
  });

  test("increases the delay when another process unregisters the entry repeatedly", async () => {
    const registry = losable();
    const { register, unregister, ctx, clock, leftovers } = registry;
    await register();
    const otherSubscription = registry
      .direct()
      .find(ctx, watchAll)
      .subscribe(({ deleted, networkServiceEndpoint }) => {
        if (!deleted) void registry.direct().unregister(ctx, networkServiceEndpoint!);
      });
    await clock.advance(60_000);
    // Detected one second later; then after 0.1, 0.2, … 6.4 s, then every 10 s.
    expect(registry.registers()).toBe(1 + 7 + 3);
    otherSubscription.unsubscribe();
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("opens one watch for a registration, however often it is renewed", async () => {
    const registry = losable();
    const { register, unregister, clock, leftovers } = registry;
    for (let i = 0; i < 10; i++) {
      await register();
      await clock.advance(40_000);
    }
    expect(registry.seen.calls.filter((method) => method === "find")).toHaveLength(1);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("does not register an entry again that its own user unregistered", async () => {
    const registry = losable();
    const { register, unregister, clock, leftovers } = registry;
    await register();
    await unregister();
    await clock.advance(60_000);
    expect(registry.seen.calls).toEqual(["register", "find", "unregister"]);
    expect(leftovers()).toEqual({});
  });

  test("stops retrying when the entry is unregistered", async () => {
    const registry = losable();
    const { register, unregister, clock, leftovers } = registry;
    await register();
    registry.kill();
    await clock.advance(5_000);
    await expect(unregister()).rejects.toMatchObject({ code: Code.Unavailable });
    const tries = registry.registers();
    await clock.advance(60_000);
    expect(registry.registers()).toBe(tries);
    expect(leftovers()).toEqual({});
  });

  test("stops retrying when the program ends", async () => {
    const registry = losable();
    const { register, clock } = registry;
    await register();
    registry.kill();
    await clock.advance(5_000);
    registry.program.abort();
    await clock.settle();
    expect(clock.timers).toBe(0);
  });

  test("keeps watching when a refresh fails", async () => {
    const registry = losable();
    const { register, unregister, ctx, clock, find, leftovers } = registry;
    await register();
    const refusing = new AbortController();
    refusing.abort(new NsmError(Code.Cancelled, "gone"));
    await expect(ctx.withSignal(refusing.signal, (c) => register({}, c))).rejects.toThrow("gone");
    await registry.direct().unregister(ctx, sampleEndpoint(0));
    await clock.advance(100);
    expect(await find()).toHaveLength(1);
    await unregister();
    expect(leftovers()).toEqual({});
  });

  test("does not retry a watch that the registry rejects", async () => {
    const forbidding: ChainElement<EndpointRegistry> = {
      name: "forbidding",
      find: () => throwError(() => new NsmError(Code.PermissionDenied, "no")),
    };
    const seen = recorder();
    const { register, unregister, clock, leftovers } = runRegistry([
      begin(),
      registrationState(),
      heal({ kind: endpointKind, random }),
      seen,
      forbidding,
    ]);
    await register();
    await clock.advance(60_000);
    expect(seen.calls).toEqual(["register", "find"]);
    await unregister();
    expect(leftovers()).toEqual({});
  });
});

describe("a watching Find through heal", () => {
  test("survives a restart of the registry, and reports deletions in the meantime", async () => {
    const registry = losable();
    const { ctx, clock, leftovers } = registry;
    const chain = endpointRegistryChain([finds(heal({ kind: endpointKind, random }))], {
      tail: registry.tail,
    });
    await registry.direct().register(ctx, sampleEndpoint(0, { name: "old" }));
    await registry.direct().register(ctx, sampleEndpoint(0, { name: "both" }));
    const reader = listen(chain.find(ctx, watchAll));
    await clock.settle();
    registry.kill();
    await clock.advance(1_000);
    registry.restart();
    await registry.direct().register(ctx, sampleEndpoint(0, { name: "both" }));
    await registry.direct().register(ctx, sampleEndpoint(0, { name: "new" }));
    await clock.advance(5_000);
    expect(changesOf(reader.seen)).toEqual(["+old", "+both", "+both", "+new", "-old"]);
    await registry.direct().unregister(ctx, sampleEndpoint(0, { name: "new" }));
    expect(changesOf(reader.seen).at(-1)).toBe("-new");
    expect(reader.end).toBeUndefined();
    reader.stop();
    expect(leftovers()).toEqual({});
  });

  test("reports a deletion between the Find and the watch after a restart", async () => {
    const store = memoryEndpoints();
    const origin = endpointRegistryChain([store]);
    const { ctx, clock } = runRegistry([]);
    let lateMs = 0;
    const cut = new Subject<void>();
    const lost = cut.pipe(mergeMap(() => throwError(() => new NsmError(Code.Unavailable, "cut"))));
    const late: ChainElement<EndpointRegistry> = {
      name: "late",
      find: (c, query, next) =>
        query.watch
          ? merge(delayed(c, lateMs).pipe(mergeMap(() => next.find(c, query))), lost)
          : next.find(c, query),
    };
    const chain = endpointRegistryChain([finds(heal({ kind: endpointKind, random })), late], {
      tail: origin,
    });
    for (const name of ["stays", "goes"]) await origin.register(ctx, sampleEndpoint(0, { name }));
    const reader = listen(chain.find(ctx, watchAll));
    await clock.advance(0);
    lateMs = 500;
    cut.next();
    await clock.advance(100);
    await origin.unregister(ctx, sampleEndpoint(0, { name: "goes" }));
    await clock.advance(5_000);
    expect(changesOf(reader.seen)).toEqual(["+stays", "+goes", "+stays", "-goes"]);
    reader.stop();
    expect(clock.timers).toBe(0);
  });

  test("reopens soon after each single break", async () => {
    const registry = losable();
    const { ctx, clock, leftovers } = registry;
    const chain = endpointRegistryChain([finds(heal({ kind: endpointKind, random }))], {
      tail: registry.tail,
    });
    const reader = listen(chain.find(ctx, watchAll));
    for (let i = 0; i < 10; i++) {
      registry.kill();
      registry.restart();
      await clock.advance(50);
      await registry.direct().register(ctx, sampleEndpoint(0, { name: `nse-${i}` }));
      expect(changesOf(reader.seen)).toContain(`+nse-${i}`);
      await clock.advance(60_000);
    }
    reader.stop();
    expect(leftovers()).toEqual({});
  });

  test("ends with the reason of its call", async () => {
    const registry = losable();
    const { ctx, clock } = registry;
    const caller = new AbortController();
    registry.kill();
    await ctx.withSignal(caller.signal, async (c) => {
      const chain = endpointRegistryChain([finds(heal({ kind: endpointKind, random }))], {
        tail: registry.tail,
      });
      const reader = listen(chain.find(c, watchAll));
      await clock.advance(1_000);
      caller.abort(new NsmError(Code.Cancelled, "enough"));
      await clock.settle();
      expect(reader.end).toMatchObject({ error: { code: Code.Cancelled } });
    });
    expect(clock.timers).toBe(0);
  });

  test("ends with a permanent failure", async () => {
    const tail: EndpointRegistry = {
      register: async (_ctx, endpoint) => endpoint,
      unregister: async () => {},
      find: () => throwError(() => new NsmError(Code.PermissionDenied, "no")),
    };
    const { ctx, clock } = runRegistry([]);
    const chain = endpointRegistryChain([finds(heal({ kind: endpointKind, random }))], { tail });
    const reader = listen(chain.find(ctx, watchAll));
    await clock.settle();
    expect(reader.end).toMatchObject({ error: { code: Code.PermissionDenied } });
    expect(clock.timers).toBe(0);
  });
});

/** For Finds only, without the elements that heal needs for a Register. */
function finds({ find }: ChainElement<EndpointRegistry>): ChainElement<EndpointRegistry> {
  return { name: "heal", find: find! };
}

function changesOf(seen: readonly NetworkServiceEndpointResponse[]): string[] {
  return seen.map(
    ({ deleted, networkServiceEndpoint }) => `${deleted ? "-" : "+"}${networkServiceEndpoint!.name}`,
  );
}
