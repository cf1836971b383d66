import { describe, expect, test } from "vitest";
import type { NetworkServiceEndpoint } from "../../../src/api/index.js";
import { Code, endpointRegistryChain } from "../../../src/core/index.js";
import { memoryEndpoints, memoryNetworkServices } from "../../../src/registry/stores/memory/index.js";
import {
  describeRegistry,
  describeRegistryElement,
  failOnce,
  runRegistry,
  sampleEndpoint,
} from "../../../src/testing/index.js";
import { listen } from "../support.js";

describeRegistry("memory", () => ({
  networkServices: [memoryNetworkServices()],
  endpoints: [memoryEndpoints()],
}));

describeRegistryElement("memory", () => memoryEndpoints());

describe("memory", () => {
  test("does not store an entry that a later element rejects", async () => {
    const { register, find, leftovers } = runRegistry([
      memoryEndpoints(),
      failOnce(Code.ResourceExhausted, "register"),
    ]);
    await expect(register()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("shows its own entries before those of a later store", async () => {
    const near = memoryEndpoints();
    const far = memoryEndpoints();
    const behind = runRegistry([far]);
    const { register, find, unregister } = runRegistry([near, far]);
    await behind.register({ name: "far" });
    await register({ name: "both" });
    const names = (await find()).map(({ networkServiceEndpoint }) => networkServiceEndpoint?.name);
    expect(names).toEqual(["both", "far", "both"]);
    await unregister(sampleEndpoint(0, { name: "both" }));
    await behind.unregister(sampleEndpoint(0, { name: "far" }));
    expect(behind.leftovers()).toEqual({});
  });

  test("publishes changes that a watcher causes during an event after that event", async () => {
    const store = memoryEndpoints();
    const { ctx, clock, leftovers } = runRegistry([store]);
    const chain = endpointRegistryChain([store]);
    const all = { networkServiceEndpoint: undefined, watch: true };
    const kinds: string[] = [];
    const modifier = chain.find(ctx, all).subscribe(({ deleted, networkServiceEndpoint }) => {
      if (!deleted) void chain.unregister(ctx, networkServiceEndpoint!);
    });
    const reader = chain.find(ctx, all).subscribe(({ deleted }) => kinds.push(deleted ? "deleted" : "there"));
    await chain.register(ctx, sampleEndpoint(clock.now()));
    await clock.settle();
    expect(kinds).toEqual(["there", "deleted"]);
    modifier.unsubscribe();
    reader.unsubscribe();
    expect(leftovers()).toEqual({});
  });

  describe("with many entries", () => {
    const MANY = 5_000;
    const labelled = (service: string): Partial<NetworkServiceEndpoint> => ({
      networkServiceLabels: { [service]: { labels: { zone: "a" } } },
    });
    const others = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

    async function filled() {
      const bench = runRegistry([memoryEndpoints()]);
      for (let i = 0; i < MANY; i++) await bench.register({ name: `nse-${i}`, ...labelled("icmp") });
      return bench;
    }

    test("lets other calls run during a search for labels", async () => {
      const { find } = await filled();
      let found: unknown[] | undefined;
      const empty = { networkServiceNames: [], url: "" };
      void find({ ...empty, ...labelled("icmp") }).then((all) => (found = all));
      let turns = 0;
      for (; !found; turns++) await others();
      expect(found).toHaveLength(MANY);
      expect(turns).toBeGreaterThanOrEqual(MANY / 1_000 - 1);
    });

    test("lets other calls run while it publishes the initial entries to a watch, and then publishes their changes", async () => {
      const store = memoryEndpoints();
      const chain = endpointRegistryChain([store]);
      const { ctx, leftovers } = runRegistry([store]);
      const entry = (i: number, url: string): NetworkServiceEndpoint =>
        sampleEndpoint(0, { name: `nse-${i}`, url });
      for (let i = 0; i < MANY; i++) await chain.register(ctx, entry(i, "tcp://old:1"));
      const reader = listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: true }));
      expect(reader.seen.length).toBeLessThan(MANY);
      await chain.register(ctx, entry(MANY - 1, "tcp://new:1"));
      await chain.unregister(ctx, entry(MANY - 2, ""));
      while (reader.seen.length < MANY + 2) await others();
      const last = reader.seen
        .slice(-3)
        .map(({ deleted, networkServiceEndpoint: { name, url } = entry(0, "") }) => {
          return `${deleted ? "-" : "+"}${name} ${url}`;
        });
      expect(last).toEqual([
        `+nse-${MANY - 1} tcp://old:1`,
        `+nse-${MANY - 1} tcp://new:1`,
        `-nse-${MANY - 2} tcp://old:1`,
      ]);
      reader.stop();
      const leaving = listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: true }));
      leaving.stop();
      const countBefore = leaving.seen.length;
      await others();
      expect(leaving.seen).toHaveLength(countBefore);
      expect(leftovers()).toEqual({ memory: { entries: MANY - 1 } });
    });

    test("searches labels only among the endpoints of the service", async () => {
      const store = memoryEndpoints();
      const chain = endpointRegistryChain([store]);
      const { find, ctx } = runRegistry([store]);
      let examined = 0;
      for (let i = 0; i < 100; i++) {
        const labels = labelled(i % 10 === 0 ? "dns" : "icmp").networkServiceLabels!;
        const endpoint = sampleEndpoint(0, { name: `nse-${i}`, networkServiceNames: [] });
        const get = (): typeof labels => (examined++, labels);
        await chain.register(
          ctx,
          Object.defineProperty(endpoint, "networkServiceLabels", { enumerable: true, get }),
        );
      }
      const before = examined;
      const found = await find({ networkServiceNames: [], url: "", ...labelled("dns") });
      expect(found).toHaveLength(10);
      // One or two lookups for each of the ten.
      expect(examined - before).toBeLessThan(50);
    });
  });
});
