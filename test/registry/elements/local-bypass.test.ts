import { describe, expect, test } from "vitest";
import type { NetworkServiceEndpoint, NetworkServiceEndpointResponse } from "../../../src/api/index.js";
import { Code, endpointRegistryChain } from "../../../src/core/index.js";
import { localBypass } from "../../../src/registry/elements/local-bypass/index.js";
import { memoryEndpoints } from "../../../src/registry/stores/memory/index.js";
import {
  describeRegistryElement,
  failOnce,
  hold,
  recorder,
  runRegistry,
  sampleEndpoint,
} from "../../../src/testing/index.js";
import { failSwitch, changing, listen } from "../support.js";

const MANAGER = "tcp://10.0.0.1:5001";
const REAL = "tcp://127.0.0.1:6001";
const watchAll = { networkServiceEndpoint: undefined, watch: true };
const urlsOf = (found: readonly NetworkServiceEndpointResponse[]): string[] =>
  found.map(({ deleted, networkServiceEndpoint }) => `${deleted ? "-" : ""}${networkServiceEndpoint!.url}`);

describeRegistryElement("local-bypass", () => localBypass({ url: MANAGER }));

describe("local-bypass", () => {
  test("shows the manager's URL to later elements, and the real one to its callers", async () => {
    const store = memoryEndpoints();
    const { register, find, unregister, leftovers } = runRegistry([localBypass({ url: MANAGER }), store]);
    const remote = runRegistry([store]);
    expect((await register({ url: REAL })).url).toBe(REAL);
    expect(urlsOf(await remote.find())).toEqual([MANAGER]);
    expect(urlsOf(await find())).toEqual([REAL]);
    await unregister();
    expect(await remote.find()).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("forwards a query for the manager's URL unchanged, so that a manager finds its forwarders", async () => {
    const { register, find, unregister } = runRegistry([localBypass({ url: MANAGER }), memoryEndpoints()]);
    await register({ url: REAL });
    expect(urlsOf(await find({ url: MANAGER }))).toEqual([REAL]);
    await unregister();
  });

  test("does not confuse a URL that starts with its own URL with its own", async () => {
    const store = memoryEndpoints();
    const { find } = runRegistry([localBypass({ url: MANAGER }), store]);
    const remote = runRegistry([store]);
    await remote.register({ url: `${MANAGER}0` });
    expect(await find({ url: MANAGER })).toEqual([]);
    expect(urlsOf(await find())).toEqual([`${MANAGER}0`]);
    await remote.unregister();
  });

  test("shows the entries of other managers unchanged", async () => {
    const store = memoryEndpoints();
    const { find } = runRegistry([localBypass({ url: MANAGER }), store]);
    const remote = runRegistry([store]);
    await remote.register({ url: "tcp://10.0.0.2:5001" });
    expect(urlsOf(await find())).toEqual(["tcp://10.0.0.2:5001"]);
    await remote.unregister();
  });

  test("does not show its own endpoints from before a restart until they are renewed", async () => {
    const store = memoryEndpoints();
    const before = runRegistry([localBypass({ url: MANAGER }), store]);
    await before.register({ url: REAL });
    const after = runRegistry([localBypass({ url: MANAGER }), store]);
    const reader = listen(
      endpointRegistryChain([localBypass({ url: MANAGER }), store]).find(after.ctx, watchAll),
    );
    expect(await after.find()).toEqual([]);
    await after.register({ url: REAL });
    expect(urlsOf(await after.find())).toEqual([REAL]);
    await after.unregister();
    // A deletion is still reported, because a watcher may know the endpoint from before.
    expect(urlsOf(reader.seen)).toEqual([`-${MANAGER}`]);
    reader.stop();
    expect(after.leftovers()).toEqual({});
  });

  test("unregisters an entry that was registered before a restart", async () => {
    const store = memoryEndpoints();
    const before = runRegistry([localBypass({ url: MANAGER }), store]);
    const endpoint = await before.register({ url: REAL });
    const seen = recorder();
    const after = runRegistry([localBypass({ url: MANAGER }), seen, store]);
    await after.unregister(endpoint);
    expect(seen.args<NetworkServiceEndpoint>("unregister")[0]!.url).toBe(MANAGER);
    expect(after.leftovers()).toEqual({});
  });

  test("shows the other manager's URL for an endpoint that has moved to another manager", async () => {
    const store = memoryEndpoints();
    const { register, find, unregister } = runRegistry([localBypass({ url: MANAGER }), store]);
    const remote = runRegistry([store]);
    await register({ url: REAL });
    await remote.register({ url: "tcp://10.0.0.2:5001" });
    expect(urlsOf(await find())).toEqual(["tcp://10.0.0.2:5001"]);
    await unregister();
    expect(urlsOf(await find())).toEqual(["tcp://10.0.0.2:5001"]);
    await remote.unregister();
  });

  test("replaces the URL of an endpoint that moved", async () => {
    const { register, find, unregister } = runRegistry([localBypass({ url: MANAGER }), memoryEndpoints()]);
    await register({ url: REAL });
    expect((await register({ url: "tcp://127.0.0.1:7001" })).url).toBe("tcp://127.0.0.1:7001");
    expect(urlsOf(await find())).toEqual(["tcp://127.0.0.1:7001"]);
    await unregister();
  });

  test("keeps the current URL when the move fails", async () => {
    const broken = failSwitch();
    const { register, find, unregister, leftovers } = runRegistry([
      localBypass({ url: MANAGER }),
      memoryEndpoints(),
      broken,
    ]);
    broken.on = true;
    await expect(register({ url: REAL })).rejects.toThrow();
    expect(leftovers()).toEqual({});
    broken.on = false;
    await register({ url: REAL });
    broken.on = true;
    await expect(register({ url: "tcp://127.0.0.1:7001" })).rejects.toThrow();
    expect(urlsOf(await find())).toEqual([REAL]);
    broken.on = false;
    await unregister();
  });

  test("never shows the manager's URL while a slow registry has not answered yet", async () => {
    const gate = hold();
    gate.release();
    const store = memoryEndpoints();
    const elements = [localBypass({ url: MANAGER }), { name: "gate", register: gate.register }, store];
    const { register, unregister, find, ctx, clock } = runRegistry(elements);
    const reader = listen(endpointRegistryChain(elements).find(ctx, watchAll));
    gate.hold();
    const slow = register({ url: REAL });
    await clock.settle();
    expect(await find()).toEqual([]);
    gate.release();
    await slow;
    await unregister();
    expect(urlsOf(reader.seen)).toEqual([REAL, `-${REAL}`]);
    reader.stop();
  });

  test("answers with the real URL when a later registry has changed it", async () => {
    const { register, find, unregister } = runRegistry([
      localBypass({ url: MANAGER }),
      memoryEndpoints(),
      changing({ answer: (endpoint) => ({ ...endpoint, url: "tcp://198.51.100.7:5004" }) }),
    ]);
    expect((await register({ url: REAL })).url).toBe(REAL);
    expect(urlsOf(await find())).toEqual([REAL]);
    await unregister();
  });

  test.each(["", "no url"])("rejects an endpoint whose URL is %j", async (url) => {
    const seen = recorder();
    const { register, leftovers } = runRegistry([localBypass({ url: MANAGER }), seen]);
    await expect(register({ url })).rejects.toMatchObject({ code: Code.InvalidArgument });
    expect(seen.calls).toEqual([]);
    expect(leftovers()).toEqual({});
  });

  test("forgets the endpoint even if the Unregister does not reach the registry", async () => {
    const store = memoryEndpoints();
    const { register, unregister, find, leftovers } = runRegistry([
      localBypass({ url: MANAGER }),
      failOnce(Code.Unavailable, "unregister"),
      store,
    ]);
    await register({ url: REAL });
    await expect(unregister()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(await find()).toEqual([]);
    await unregister(sampleEndpoint(0));
    expect(leftovers()).toEqual({});
  });
});
