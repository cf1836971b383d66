import { firstValueFrom, lastValueFrom, toArray, type Observable } from "rxjs";
import {
  NetworkServiceEndpoint,
  NetworkServiceEntry,
  NetworkServiceLabels,
  toTimestamp,
  type NetworkServiceEndpointResponse,
  type NetworkServiceResponse,
} from "../api/index.js";
import {
  Code,
  Context,
  debugState,
  endpointRegistryChain,
  networkServiceRegistryChain,
  NsmError,
  type Elements,
  type EndpointRegistry,
  type NetworkServiceRegistry,
} from "../core/index.js";
import { read, type Reader } from "./stream-reader.js";
import { suite } from "./suite.js";

/** A store with nothing in it. */
export interface StoreUnderTest {
  readonly networkServices: Elements<NetworkServiceRegistry>;
  readonly endpoints: Elements<EndpointRegistry>;
  /** Called when the test is over. */
  close?(): Promise<void>;
}

interface Bench {
  readonly ctx: Context;
  readonly networkServices: NetworkServiceRegistry;
  readonly endpoints: EndpointRegistry;
}

/**
 * The contract of a store of both registries, as a suite. It runs in real time, so that stores outside the
 * process can be held to it too. Only in vitest test files.
 *
 * @example
 * describeRegistry("memory", () => ({
 *   networkServices: [memoryNetworkServices()],
 *   endpoints: [memoryEndpoints()],
 * }));
 */
export function describeRegistry(
  name: string,
  factory: () => StoreUnderTest | Promise<StoreUnderTest>,
): void {
  const { describe, test, expect } = suite();

  const within = (check: (bench: Bench) => Promise<void>) => async (): Promise<void> => {
    const store = await factory();
    const caller = new AbortController();
    try {
      await check({
        ctx: Context.background({ signal: caller.signal }),
        networkServices: networkServiceRegistryChain(store.networkServices),
        endpoints: endpointRegistryChain(store.endpoints),
      });
      caller.abort(new NsmError(Code.Cancelled, "the test is over"));
      for (const held of [debugState(store.networkServices), debugState(store.endpoints)]) {
        expect(JSON.stringify(held), "who watches still").not.toContain("watchers");
      }
    } finally {
      caller.abort();
      await store.close?.();
    }
  };

  describe(`${name} as a store of endpoints`, () => {
    test(
      "finds an endpoint by its name, and nothing by another",
      within(async (bench) => {
        const stored = await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        expect(await found(bench, { name: "nse-1" })).toEqual([stored]);
        expect(await found(bench, { name: "nse" })).toEqual([]);
      }),
    );

    test(
      "shows everything to a query without content",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.register(bench.ctx, icmp("nse-2"));
        expect(namesOf(await found(bench, undefined))).toEqual(["nse-1", "nse-2"]);
        expect(namesOf(await found(bench, {}))).toEqual(["nse-1", "nse-2"]);
      }),
    );

    test(
      "finds endpoints by services, labels, part of the URL and the second of expiration",
      within(async (bench) => {
        const time = Date.UTC(2040, 0, 1);
        const labels = { icmp: NetworkServiceLabels.create({ labels: { zone: "a", rack: "7" } }) };
        await bench.endpoints.register(bench.ctx, {
          ...icmp("nse-1"),
          networkServiceNames: ["icmp", "dns"],
          networkServiceLabels: labels,
          url: "tcp://10.0.0.1:50010",
          expirationTime: toTimestamp(time + 250),
        });
        await bench.endpoints.register(bench.ctx, icmp("nse-2"));

        const one = ["nse-1"];
        const both = ["nse-1", "nse-2"];
        const zone = (labels: Record<string, string>): Partial<NetworkServiceEndpoint> => ({
          networkServiceLabels: { icmp: NetworkServiceLabels.create({ labels }) },
        });
        for (const [like, names] of [
          [{ networkServiceNames: ["icmp"] }, both],
          [{ networkServiceNames: ["dns", "icmp"] }, one],
          [{ networkServiceNames: ["http"] }, []],
          [zone({ zone: "a" }), one],
          [zone({}), one],
          [zone({ zone: "b" }), []],
          [zone({ rack: "7", zone: "a" }), one],
          [zone({ floor: "1" }), []],
          [{ url: "tcp://10.0.0.1:5001" }, one],
          [{ url: "tcp://10.0.0.2" }, []],
          [{ expirationTime: toTimestamp(time + 900) }, one],
          [{ expirationTime: toTimestamp(time + 1_900) }, []],
          [{ name: "nse-2", networkServiceNames: ["dns"] }, []],
        ] as const) {
          expect(namesOf(await found(bench, like)), JSON.stringify(like)).toEqual(names);
        }
      }),
    );

    test(
      "keeps what the last Register of a name said",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.register(bench.ctx, { ...icmp("nse-1"), networkServiceNames: ["dns"] });
        expect(namesOf(await found(bench, { networkServiceNames: ["icmp"] }))).toEqual([]);
        expect(namesOf(await found(bench, { networkServiceNames: ["dns"] }))).toEqual(["nse-1"]);
      }),
    );

    test(
      "forgets what is unregistered, and says yes to what it does not know",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.unregister(bench.ctx, icmp("nse-1"));
        expect(await found(bench, undefined)).toEqual([]);
        await bench.endpoints.unregister(bench.ctx, icmp("nse-1"));
      }),
    );

    test(
      "keeps an entry when it is unregistered under another URL than it has",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        const moved = await bench.endpoints.register(bench.ctx, {
          ...icmp("nse-1"),
          url: "tcp://10.0.0.4:1",
        });
        const reader = watching(bench, undefined);
        await reader.until((seen) => seen.length === 1);
        await bench.endpoints.unregister(bench.ctx, icmp("nse-1"));
        expect(await found(bench, undefined)).toEqual([moved]);
        await bench.endpoints.unregister(bench.ctx, moved);
        await reader.until((seen) => seen.length === 2);
        expect(plain(reader.seen)).toEqual([
          { deleted: false, entry: moved },
          { deleted: true, entry: moved },
        ]);
        reader.stop();
      }),
    );

    test(
      "shows a watch what there is, then every Register, then the whole entry as deleted",
      within(async (bench) => {
        const first = await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        const reader = watching(bench, { networkServiceNames: ["icmp"] });
        await reader.until((seen) => seen.length === 1);
        const second = await bench.endpoints.register(bench.ctx, { ...first, url: "tcp://10.0.0.2:1" });
        await bench.endpoints.register(bench.ctx, { ...icmp("nse-2"), networkServiceNames: ["dns"] });
        await bench.endpoints.unregister(bench.ctx, { ...icmp("nse-1"), url: "" });
        await reader.until((seen) => seen.some(({ deleted }) => deleted));
        expect(plain(reader.seen)).toEqual([
          { deleted: false, entry: first },
          { deleted: false, entry: second },
          { deleted: true, entry: second },
        ]);
        reader.stop();
      }),
    );

    test(
      "reports to a watch as deleted what an update makes stop matching",
      within(async (bench) => {
        const reader = watching(bench, { networkServiceNames: ["icmp"] });
        const first = await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await reader.until((seen) => seen.length === 1);
        await bench.endpoints.register(bench.ctx, { ...first, networkServiceNames: ["dns"] });
        await reader.until((seen) => seen.length === 2);
        await bench.endpoints.register(bench.ctx, first);
        await reader.until((seen) => seen.length === 3);
        expect(plain(reader.seen)).toEqual([
          { deleted: false, entry: first },
          { deleted: true, entry: first },
          { deleted: false, entry: first },
        ]);
        reader.stop();
      }),
    );

    test(
      "ends a watch with the reason of its call",
      within(async (bench) => {
        const caller = new AbortController();
        const ctx = Context.background({ signal: caller.signal });
        const reader = watching({ ...bench, ctx }, undefined);
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await reader.until((seen) => seen.length === 1);
        caller.abort(new NsmError(Code.Cancelled, "the reader went away"));
        expect(await reader.ended).toMatchObject({ code: Code.Cancelled });
      }),
    );

    test(
      "tells many watches of many changes, each in order, and of the last state of each entry",
      within(async (bench) => {
        const readers = Array.from({ length: 10 }, () => watching(bench, { networkServiceNames: ["icmp"] }));
        for (let round = 0; round < 50; round++) {
          await bench.endpoints.register(bench.ctx, {
            ...icmp(`nse-${round % 5}`),
            url: `tcp://10.0.0.1:${round}`,
          });
        }
        await bench.endpoints.unregister(bench.ctx, { ...icmp("nse-0"), url: "" });
        for (const reader of readers) {
          await reader.until((seen) => seen.some(({ deleted }) => deleted));
          const ports = reader.seen.filter(({ deleted }) => !deleted).map(portOf);
          expect(ports).toEqual([...ports].sort((a, b) => a - b));
          expect(new Set(ports.slice(-5))).toEqual(new Set([45, 46, 47, 48, 49]));
          reader.stop();
        }
      }),
    );

    test(
      "shows each of many watches the entry registered beside it",
      within(async (bench) => {
        await Promise.all(
          Array.from({ length: 50 }, async (_, i) => {
            const reader = watching(bench, { name: `nse-${i}` });
            await bench.endpoints.register(bench.ctx, icmp(`nse-${i}`));
            await reader.until((seen) => seen.length > 0);
            reader.stop();
          }),
        );
      }),
    );

    test(
      "goes on telling the others when a watch leaves in the middle of an event",
      within(async (bench) => {
        const leaving = firstValueFrom(find(bench, undefined, true));
        const reader = watching(bench, undefined);
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.register(bench.ctx, icmp("nse-2"));
        await reader.until((seen) => seen.length === 2);
        expect((await leaving).networkServiceEndpoint?.name).toBe("nse-1");
        reader.stop();
      }),
    );
  });

  describe(`${name} as a store of network services`, () => {
    test(
      "finds services by name, payload and matches",
      within(async ({ ctx, networkServices }) => {
        const matches = [
          { sourceSelector: { app: "a" }, routes: [], fallthrough: true, metadata: { labels: { x: "y" } } },
        ];
        await networkServices.register(ctx, NetworkServiceEntry.create({ name: "icmp", payload: "IP" }));
        await networkServices.register(
          ctx,
          NetworkServiceEntry.create({ name: "dns", payload: "IP", matches }),
        );
        for (const [like, names] of [
          [{}, ["dns", "icmp"]],
          [{ name: "icmp" }, ["icmp"]],
          [{ payload: "IP" }, ["dns", "icmp"]],
          [{ payload: "ETHERNET" }, []],
          [{ matches }, ["dns"]],
          [{ matches: [{ ...matches[0]!, fallthrough: false }] }, []],
        ] as const) {
          const networkService = NetworkServiceEntry.create(like as object);
          const all = await lastValueFrom(
            networkServices.find(ctx, { networkService, watch: false }).pipe(toArray()),
          );
          expect(all.map((found) => found.networkService!.name).sort()).toEqual(names);
        }
        await networkServices.unregister(ctx, NetworkServiceEntry.create({ name: "icmp" }));
        await networkServices.unregister(ctx, NetworkServiceEntry.create({ name: "dns" }));
      }),
    );

    test(
      "shows a watch what there is, what comes and what goes",
      within(async ({ ctx, networkServices }) => {
        const service = (payload: string): NetworkServiceEntry =>
          NetworkServiceEntry.create({ name: "icmp", payload });
        await networkServices.register(ctx, service("IP"));
        const reader = read<NetworkServiceResponse>(
          networkServices.find(ctx, { networkService: undefined, watch: true }),
        );
        await reader.until((seen) => seen.length === 1);
        await networkServices.register(ctx, service("ETHERNET"));
        await networkServices.unregister(ctx, service(""));
        await reader.until((seen) => seen.length === 3);
        expect(reader.seen.map(({ deleted, networkService }) => [networkService!.payload, deleted])).toEqual([
          ["IP", false],
          ["ETHERNET", false],
          ["ETHERNET", true],
        ]);
        reader.stop();
      }),
    );
  });
}

type Like = Partial<NetworkServiceEndpoint> | undefined;

function icmp(name: string): NetworkServiceEndpoint {
  return NetworkServiceEndpoint.create({ name, networkServiceNames: ["icmp"], url: "tcp://10.0.0.3:1" });
}

function find(
  { ctx, endpoints }: Bench,
  like: Like,
  watch: boolean,
): Observable<NetworkServiceEndpointResponse> {
  const networkServiceEndpoint = like && NetworkServiceEndpoint.create(like as object);
  return endpoints.find(ctx, { networkServiceEndpoint, watch });
}

async function found(bench: Bench, like: Like): Promise<NetworkServiceEndpoint[]> {
  const all = await lastValueFrom(find(bench, like, false).pipe(toArray()));
  return all.map(({ networkServiceEndpoint }) => networkServiceEndpoint!);
}

function namesOf(endpoints: readonly NetworkServiceEndpoint[]): string[] {
  return endpoints.map((endpoint) => endpoint.name).sort();
}

function portOf({ networkServiceEndpoint }: NetworkServiceEndpointResponse): number {
  return Number(networkServiceEndpoint!.url.split(":")[2]);
}

function plain(seen: readonly NetworkServiceEndpointResponse[]): unknown[] {
  return seen.map(({ deleted, networkServiceEndpoint }) => ({ deleted, entry: networkServiceEndpoint }));
}

function watching(bench: Bench, like: Like): Reader<NetworkServiceEndpointResponse> {
  return read(find(bench, like, true));
}
