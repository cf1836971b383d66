import { lastValueFrom, Subject, toArray } from "rxjs";
import { describe, expect, test } from "vitest";
import {
  NetworkServiceEndpoint,
  NetworkServiceEntry,
  toTimestamp,
  type NetworkServiceEndpointResponse,
} from "../../../src/api/index.js";
import {
  Code,
  endpointRegistryChain,
  networkServiceRegistryChain,
  type EndpointRegistry,
} from "../../../src/core/index.js";
import { cachedOnly, bypassCache } from "../../../src/registry/index.js";
import { cache } from "../../../src/registry/elements/cache/index.js";
import { endpointKind, networkServiceKind } from "../../../src/registry/kinds.js";
import { memoryNetworkServices } from "../../../src/registry/stores/memory/index.js";
import { describeRegistryElement, recorder } from "../../../src/testing/index.js";
import { clock, ctx, program, nse, behindCache, icmp } from "./cache-kit.js";

describeRegistryElement("cache", ({ until }) => cache({ kind: endpointKind, until }));

describe("cache", () => {
  test("queries a service once, and then answers from its watch", async () => {
    const { origin, find, takeCallCount, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    expect(await find(icmp)).toEqual(["tcp://a:1"]);
    // The Find, then the watch and its concurrent Find.
    expect(takeCallCount()).toBe(3);
    await clock.settle();
    await origin.register(ctx, nse("b"));
    expect(await find(icmp)).toEqual(["tcp://a:1", "tcp://b:1"]);
    await origin.register(ctx, nse("a", "icmp", 2));
    expect(await find({ name: "a" })).toEqual(["tcp://a:2"]);
    await origin.unregister(ctx, nse("b"));
    expect(await find(icmp)).toEqual(["tcp://a:2"]);
    expect(takeCallCount()).toBe(0);
    await clear();
  });

  test("queries the registry before it returns no entry", async () => {
    const { origin, find, takeCallCount, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await find(icmp);
    takeCallCount();
    expect(await find({ ...icmp, url: "tcp://other" })).toEqual([]);
    expect(takeCallCount()).toBe(1);
    expect(await find({ name: "b" })).toEqual([]);
    expect(takeCallCount()).toBe(1);
    expect(await find({ networkServiceNames: ["dns"] })).toEqual([]);
    expect(takeCallCount()).toBe(1);
    await clear();
  });

  test("does not watch a service without endpoints", async () => {
    const { origin, find, element, takeCallCount, chain } = behindCache();
    expect(await find(icmp)).toEqual([]);
    expect(element.debugState!()).toEqual({ watches: 0 });
    await origin.register(ctx, nse("a"));
    await find(icmp);
    await clock.settle();
    expect(element.debugState!()).toEqual({ watches: 1 });
    await origin.unregister(ctx, nse("a"));
    expect(element.debugState!()).toEqual({ watches: 0 });
    await chain.register(ctx, nse("a"));
    await find(icmp);
    await clock.settle();
    await chain.unregister(ctx, nse("a"));
    expect(element.debugState!()).toEqual({ watches: 0 });
    takeCallCount();
    expect(await find(icmp)).toEqual([]);
    expect(takeCallCount()).toBe(1);
  });

  test("finds an endpoint by name once its service is watched", async () => {
    const { origin, find, takeCallCount, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await origin.register(ctx, nse("b"));
    expect(await find({ name: "a" })).toEqual(["tcp://a:1"]);
    await clock.settle();
    takeCallCount();
    expect(await find({ name: "b" })).toEqual(["tcp://b:1"]);
    expect(takeCallCount()).toBe(0);
    await clear();
  });

  test("never treats a part of the entries as complete", async () => {
    const { origin, find, takeCallCount, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await origin.register(ctx, nse("d", "dns"));
    await find(icmp);
    await clock.settle();
    takeCallCount();
    expect(await find({})).toEqual(["tcp://a:1", "tcp://d:1"]);
    expect(await find({ url: "tcp://" })).toEqual(["tcp://a:1", "tcp://d:1"]);
    expect(takeCallCount()).toBe(2);
    await clear();
  });

  test("applies a Register and an Unregister through it before they are answered", async () => {
    const cached = behindCache();
    const { origin, chain, element, find, takeCallCount, clear } = cached;
    await origin.register(ctx, nse("a"));
    await find(icmp);
    await clock.settle();
    cached.muted = true;
    takeCallCount();
    await chain.register(ctx, nse("b"));
    expect(await find(icmp)).toEqual(["tcp://a:1", "tcp://b:1"]);
    await chain.unregister(ctx, nse("b"));
    expect(await find(icmp)).toEqual(["tcp://a:1"]);
    await chain.register(ctx, nse("a", "dns"));
    // The entry is no longer of icmp, so the Find goes to the registry.
    takeCallCount();
    expect(element.debugState!()).toEqual({ watches: 0 });
    expect(await find(icmp)).toEqual([]);
    expect(takeCallCount()).toBe(1);
    await clear();
  });

  test("queries the registry while its watch is down, and then watches again", async () => {
    const cached = behindCache();
    const { origin, find, takeCallCount, cut, element, clear } = cached;
    await origin.register(ctx, nse("a"));
    await find(icmp);
    await clock.settle();
    cached.down = true;
    cut();
    expect(element.debugState!()).toEqual({ watches: 0 });
    await expect(find({ networkServiceNames: ["other"] })).rejects.toMatchObject({ code: Code.Unavailable });
    // Deletions in the meantime are not lost.
    await origin.unregister(ctx, nse("a"));
    await origin.register(ctx, nse("b"));
    cached.down = false;
    expect(await find(icmp)).toEqual(["tcp://b:1"]);
    await clock.settle();
    takeCallCount();
    expect(await find(icmp)).toEqual(["tcp://b:1"]);
    expect(takeCallCount()).toBe(0);
    await clear();
  });

  test("returns the last known entries while the registry fails or does not answer, except expired ones", async () => {
    const cached = behindCache();
    const { origin, find, cut, clear } = cached;
    await origin.register(ctx, nse("a"));
    const until = clock.now() + 60_000;
    await origin.register(ctx, { ...nse("b"), expirationTime: toTimestamp(until) });
    await find(icmp);
    await clock.settle();
    cached.down = true;
    cut();
    expect(await find(icmp)).toEqual(["tcp://a:1", "tcp://b:1"]);
    expect(await find({ name: "b" })).toEqual(["tcp://b:1"]);
    await expect(find(icmp, ctx.with(bypassCache, true))).rejects.toMatchObject({ code: Code.Unavailable });

    cached.silent = true;
    const found = find(icmp);
    await clock.advance(1_000);
    expect(await found).toEqual(["tcp://a:1", "tcp://b:1"]);

    cached.silent = false;
    await clock.advance(60_000);
    expect(await find(icmp)).toEqual(["tcp://a:1"]);
    // An Unregister through the cache removes the entry here, even if it does not reach the registry.
    await cached.chain.unregister(ctx, nse("a"));
    await expect(find(icmp)).rejects.toMatchObject({ code: Code.Unavailable });
    cached.down = false;
    await clear();
  });

  test("does not forward a Find that is marked cachedOnly", async () => {
    const cached = behindCache();
    const { origin, find, takeCallCount, cut, clear } = cached;
    const here = ctx.with(cachedOnly, true);
    await origin.register(ctx, nse("a"));
    expect(await find(icmp, here)).toEqual([]);
    await find(icmp);
    await clock.settle();
    takeCallCount();
    expect(await find({ name: "a" }, here)).toEqual(["tcp://a:1"]);
    cached.down = true;
    cut();
    expect(await find({ name: "a" }, here)).toEqual(["tcp://a:1"]);
    expect(takeCallCount()).toBe(0);
    cached.down = false;
    await clear();
  });

  test("queries the registry for a Find that is marked bypassCache", async () => {
    const { origin, find, takeCallCount, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await find(icmp);
    await clock.settle();
    takeCallCount();
    expect(await find(icmp, ctx.with(bypassCache, true))).toEqual(["tcp://a:1"]);
    expect(takeCallCount()).toBe(1);
    await clear();
  });

  test("does not show an expired entry, even without a deletion event", async () => {
    const { origin, find, takeCallCount, clear } = behindCache();
    await origin.register(ctx, { ...nse("a"), expirationTime: toTimestamp(clock.now() + 60_000) });
    await find(icmp);
    await clock.settle();
    await clock.advance(60_000);
    takeCallCount();
    await find(icmp);
    expect(takeCallCount()).toBe(1);
    await clear();
  });

  test("limits the number of watched services: one that is used again replaces the least recently used", async () => {
    const { origin, find, takeCallCount, element, clear } = behindCache(2);
    for (const service of ["one", "two", "three"]) await origin.register(ctx, nse(`nse-${service}`, service));
    const use = async (service: string): Promise<number> => {
      await find({ networkServiceNames: [service] });
      await clock.settle();
      return takeCallCount();
    };
    expect([await use("one"), await use("two"), await use("one")]).toEqual([3, 3, 0]);
    expect([await use("three"), await use("two"), await use("one")]).toEqual([1, 0, 0]);
    expect([await use("three"), await use("one"), await use("three")]).toEqual([1, 0, 3]);
    expect(element.debugState!()).toEqual({ watches: 2 });
    expect([await use("three"), await use("one"), await use("two")]).toEqual([0, 0, 1]);
    await clear();
  });

  test.each([
    [256, 0],
    [257, 1],
    [300, 44],
  ])("used for %i services in turn, queries the registry %i times per round", async (services, calls) => {
    const { origin, find, takeCallCount, clear } = behindCache();
    for (let i = 0; i < services; i++) await origin.register(ctx, nse(`nse-${i}`, `service-${i}`));
    const round = async (): Promise<number> => {
      for (let i = 0; i < services; i++) await find({ networkServiceNames: [`service-${i}`] });
      return takeCallCount();
    };
    expect(await round()).toBe(3 * 256 + calls);
    expect([await round(), await round(), await round()]).toEqual([calls, calls, calls]);
    await clear();
  });

  test("follows the services in use when they change", async () => {
    const { origin, find, takeCallCount, clear } = behindCache(4);
    for (let i = 0; i < 10; i++) await origin.register(ctx, nse(`nse-${i}`, `service-${i}`));
    const round = async (from: number): Promise<number> => {
      for (let i = from; i < from + 4; i++) await find({ networkServiceNames: [`service-${i}`] });
      return takeCallCount();
    };
    await round(0);
    expect(await round(0)).toBe(0);
    await round(5);
    await round(5);
    expect(await round(5)).toBe(0);
    await clear();
  });

  test("watches only the queried part of a service: the endpoints under one URL", async () => {
    const { origin, find, takeCallCount, takeMessageCount, clear } = behindCache();
    const near = { networkServiceNames: ["forwarder"], url: "tcp://nsmgr-0:5001" };
    for (let i = 0; i < 5; i++) {
      await origin.register(ctx, { ...nse(`forwarder-${i}`, "forwarder"), url: `tcp://nsmgr-${i}:5001` });
    }
    expect(await find(near)).toEqual(["tcp://nsmgr-0:5001"]);
    takeCallCount();
    takeMessageCount();
    for (let i = 0; i < 5; i++) {
      await origin.register(ctx, { ...nse(`forwarder-${i}`, "forwarder"), url: `tcp://nsmgr-${i}:5001` });
    }
    expect(takeMessageCount()).toBe(1);
    expect(await find(near)).toEqual(["tcp://nsmgr-0:5001"]);
    expect(await find({ ...near, name: "forwarder-0" })).toEqual(["tcp://nsmgr-0:5001"]);
    expect(await find({ name: "forwarder-0" })).toEqual(["tcp://nsmgr-0:5001"]);
    expect(takeCallCount()).toBe(0);
    // Some endpoints of a service are not the whole service.
    expect(await find({ networkServiceNames: ["forwarder"] })).toHaveLength(5);
    expect(takeCallCount()).toBe(3);
    await clear();
  });

  test("does not replace an entry that its watch reported during the call by the answer of the call", async () => {
    const { origin, chain, find, takeCallCount, delayAnswers, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await find(icmp);
    const answer = delayAnswers();
    const registering = chain.register(ctx, nse("a", "icmp", 2));
    await clock.settle();
    // Another change arrives before the answer.
    await origin.register(ctx, nse("a", "icmp", 3));
    answer();
    await registering;
    await clock.settle();
    takeCallCount();
    expect(await find(icmp)).toEqual(["tcp://a:3"]);
    expect(takeCallCount()).toBe(0);
    const releaseAnswers = delayAnswers();
    const unregistering = chain.unregister(ctx, nse("a", "icmp", 3));
    await clock.settle();
    await origin.register(ctx, nse("a", "icmp", 3));
    releaseAnswers();
    await unregistering;
    await clock.settle();
    expect(await find(icmp)).toEqual(["tcp://a:3"]);
    await clear();
  });

  test("does not query the registry again when its watch reports its own change", async () => {
    const { origin, chain, find, takeCallCount, delayAnswers, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await find(icmp);
    takeCallCount();
    const answer = delayAnswers();
    const registering = chain.register(ctx, nse("a", "icmp", 2));
    await clock.settle();
    answer();
    await registering;
    expect(await find(icmp)).toEqual(["tcp://a:2"]);
    expect(takeCallCount()).toBe(1);
    await clear();
  });

  test("queries the registry again after a failed Unregister", async () => {
    const cached = behindCache();
    const { origin, chain, find, clear } = cached;
    await origin.register(ctx, nse("a"));
    await origin.register(ctx, nse("b"));
    await find(icmp);
    cached.refusing = true;
    await expect(chain.unregister(ctx, nse("a"))).rejects.toMatchObject({ code: Code.Unavailable });
    await clock.settle();
    expect(await find(icmp)).toEqual(["tcp://a:1", "tcp://b:1"]);
    await clear();
  });

  test("detects that an endpoint was unregistered while the watch was being opened", async () => {
    const { origin, find, element, delayWatches, clear } = behindCache();
    await origin.register(ctx, nse("a"));
    await origin.register(ctx, nse("b"));
    const arrive = delayWatches();
    await find(icmp);
    await origin.unregister(ctx, nse("a"));
    arrive();
    await clock.settle();
    expect(await find(icmp)).toEqual(["tcp://b:1"]);
    await clock.settle();
    expect(await find(icmp)).toEqual(["tcp://b:1"]);
    expect(element.debugState!()).toEqual({ watches: 1 });
    await clear();
  });

  test("prefers the watch to an older answer of the Find", async () => {
    const watch = new Subject<NetworkServiceEndpointResponse>();
    const plain: Subject<NetworkServiceEndpointResponse>[] = [];
    const tail: EndpointRegistry = {
      ...endpointRegistryChain([]),
      find(_ctx, query) {
        if (query.watch) return watch;
        plain.push(new Subject());
        return plain.at(-1)!;
      },
    };
    const chain = endpointRegistryChain([cache({ kind: endpointKind, until: program.signal })], { tail });
    const query = {
      networkServiceEndpoint: NetworkServiceEndpoint.create({ networkServiceNames: ["icmp"] }),
      watch: false,
    };
    const found = (entry: NetworkServiceEndpoint, deleted = false): NetworkServiceEndpointResponse => ({
      networkServiceEndpoint: entry,
      deleted,
    });
    const first = lastValueFrom(chain.find(ctx, query));
    plain[0]!.next(found(nse("a")));
    plain[0]!.complete();
    await first;
    watch.next(found(nse("a", "icmp", 2)));
    watch.next(found(nse("b")));
    watch.next(found(nse("b"), true));
    // Older than the event of the watch.
    plain[1]!.next(found(nse("a")));
    plain[1]!.next(found(nse("b")));
    plain[1]!.next(found(nse("c")));
    plain[1]!.complete();
    const answer = await lastValueFrom(chain.find(ctx, query).pipe(toArray()));
    expect(answer.map(({ networkServiceEndpoint }) => networkServiceEndpoint!.url)).toEqual([
      "tcp://a:2",
      "tcp://c:1",
    ]);
    program.abort();
    expect(watch.observed).toBe(false);
  });

  test("keeps network services by name", async () => {
    const seen = recorder();
    const store = memoryNetworkServices();
    const element = cache({ kind: networkServiceKind, until: program.signal });
    const chain = networkServiceRegistryChain([element, seen, store]);
    await chain.register(ctx, NetworkServiceEntry.create({ name: "icmp", payload: "IP" }));
    const find = async (like: object): Promise<string[]> => {
      const query = { networkService: NetworkServiceEntry.create(like), watch: false };
      const found = await lastValueFrom(chain.find(ctx, query).pipe(toArray()));
      return found.map(({ networkService }) => networkService!.payload);
    };
    await find({ name: "icmp" });
    await clock.settle();
    const calls = seen.calls.length;
    expect(await find({ name: "icmp" })).toEqual(["IP"]);
    expect(await find({ name: "icmp", payload: "IP" })).toEqual(["IP"]);
    expect(seen.calls).toHaveLength(calls);
    expect(await find({ payload: "IP" })).toEqual(["IP"]);
    expect(seen.calls).toHaveLength(calls + 1);
    await chain.unregister(ctx, NetworkServiceEntry.create({ name: "icmp" }));
    expect(element.debugState!()).toEqual({ watches: 0 });
    expect(store.debugState!()).toEqual({ entries: 0, watchers: 0 });
  });
});
