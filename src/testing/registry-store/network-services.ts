import { lastValueFrom, toArray } from "rxjs";
import { NetworkServiceEntry, type NetworkServiceResponse } from "../../api/index.js";
import { read } from "../stream-reader.js";
import type { Within } from "./store-bench.js";
import { suite, type Check } from "../suite.js";

/** What a store of network services keeps, returns and reports. */
export function networkServices(within: Within): readonly Check[] {
  const { expect } = suite();
  return [
    [
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
    ],

    [
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
    ],
  ];
}
