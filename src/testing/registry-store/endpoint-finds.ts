import { NetworkServiceLabels, toTimestamp, type NetworkServiceEndpoint } from "../../api/index.js";
import { found, icmp, namesOf, type Within } from "./store-bench.js";
import { suite, type Check } from "../suite.js";

/** What a store of endpoints keeps and returns. */
export function endpointFinds(within: Within): readonly Check[] {
  const { expect } = suite();
  return [
    [
      "finds an endpoint by its name, and nothing by another",
      within(async (bench) => {
        const stored = await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        expect(await found(bench, { name: "nse-1" })).toEqual([stored]);
        expect(await found(bench, { name: "nse" })).toEqual([]);
      }),
    ],

    [
      "shows everything to a query without content",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.register(bench.ctx, icmp("nse-2"));
        expect(namesOf(await found(bench, undefined))).toEqual(["nse-1", "nse-2"]);
        expect(namesOf(await found(bench, {}))).toEqual(["nse-1", "nse-2"]);
      }),
    ],

    [
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
    ],

    [
      "keeps the entry of the last Register of a name",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.register(bench.ctx, { ...icmp("nse-1"), networkServiceNames: ["dns"] });
        expect(namesOf(await found(bench, { networkServiceNames: ["icmp"] }))).toEqual([]);
        expect(namesOf(await found(bench, { networkServiceNames: ["dns"] }))).toEqual(["nse-1"]);
      }),
    ],

    [
      "removes what is unregistered, and accepts the Unregister of an unknown name",
      within(async (bench) => {
        await bench.endpoints.register(bench.ctx, icmp("nse-1"));
        await bench.endpoints.unregister(bench.ctx, icmp("nse-1"));
        expect(await found(bench, undefined)).toEqual([]);
        await bench.endpoints.unregister(bench.ctx, icmp("nse-1"));
      }),
    ],
  ];
}
