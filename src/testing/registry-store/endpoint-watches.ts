import { firstValueFrom } from "rxjs";
import { Code, Context, NsmError } from "../../core/index.js";
import { find, found, icmp, plain, portOf, watching, type Within } from "./store-bench.js";
import { suite, type Check } from "../suite.js";

/** What watches of a store of endpoints receive. */
export function endpointWatches(within: Within): readonly Check[] {
  const { expect } = suite();
  return [
    [
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
    ],

    [
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
    ],

    [
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
    ],

    [
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
    ],

    [
      "reports many changes to many watches, each in order, up to the last state of each entry",
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
    ],

    [
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
    ],

    [
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
    ],
  ];
}
