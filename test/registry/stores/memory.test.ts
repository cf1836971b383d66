import { describe, expect, test } from "vitest";
import { Code, endpointRegistryChain } from "../../../src/core/index.js";
import { memoryEndpoints, memoryNetworkServices } from "../../../src/registry/stores/memory/index.js";
import {
  describeRegistry,
  describeRegistryElement,
  failOnce,
  runRegistry,
  sampleEndpoint,
} from "../../../src/testing/index.js";

describeRegistry("memory", () => ({
  networkServices: [memoryNetworkServices()],
  endpoints: [memoryEndpoints()],
}));

describeRegistryElement("memory", () => memoryEndpoints());

describe("memory", () => {
  test("stores nothing that what comes behind refused", async () => {
    const { register, find, leftovers } = runRegistry([
      memoryEndpoints(),
      failOnce(Code.ResourceExhausted, "register"),
    ]);
    await expect(register()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(await find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("shows its own entries before those of a store behind it", async () => {
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

  test("orders what a watcher causes from within an event behind that event", async () => {
    const store = memoryEndpoints();
    const { ctx, clock, leftovers } = runRegistry([store]);
    const chain = endpointRegistryChain([store]);
    const all = { networkServiceEndpoint: undefined, watch: true };
    const heard: string[] = [];
    const meddler = chain.find(ctx, all).subscribe(({ deleted, networkServiceEndpoint }) => {
      if (!deleted) void chain.unregister(ctx, networkServiceEndpoint!);
    });
    const reader = chain.find(ctx, all).subscribe(({ deleted }) => heard.push(deleted ? "deleted" : "there"));
    await chain.register(ctx, sampleEndpoint(clock.now()));
    await clock.settle();
    expect(heard).toEqual(["there", "deleted"]);
    meddler.unsubscribe();
    reader.unsubscribe();
    expect(leftovers()).toEqual({});
  });
});
