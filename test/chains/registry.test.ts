import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromTimestamp, toTimestamp } from "../../src/api/index.js";
import {
  Code,
  endpointRegistryChain,
  type ChainElement,
  type EndpointRegistry,
} from "../../src/core/index.js";
import { registrationPath } from "../../src/wire/index.js";
import { insecureTokens } from "../../src/identity/index.js";
import { begin } from "../../src/registry/elements/begin/index.js";
import { dialEndpoints } from "../../src/registry/elements/dial/index.js";
import { updatePath } from "../../src/registry/elements/update-path/index.js";
import { memoryEndpoints } from "../../src/registry/stores/memory/index.js";
import { listen } from "../registry/support.js";
import { idOf, ns, nse, REGISTRY, services, story, world, type World } from "./registry-world.js";

const watch = (like?: Parameters<typeof nse>[1]) => ({
  networkServiceEndpoint: like
    ? nse("", { networkServiceNames: [], networkServiceLabels: {}, url: "", ...like })
    : undefined,
  watch: true,
});

let w: World;
beforeEach(() => void (w = world()));
afterEach(async () => {
  w.killAll();
  w.network.faults.clear();
  await w.clock.settle();
  expect(w.leftovers()).toEqual({});
});

describe("a registry and its client", () => {
  test("keep an endpoint as long as its client runs, and remove it when it is unregistered", async () => {
    const registry = w.registry();
    const client = w.client("nse-1", REGISTRY);
    const answer = await client.endpoints.register(w.ctx, nse("nse-1"));
    expect(fromTimestamp(answer.expirationTime!)).toBe(w.clock.now() + 60_000);
    expect(answer.pathIds).toEqual([idOf("nse-1"), idOf("registry")]);
    const registered = w.clock.now();
    const reader = listen(registry.endpoints.find(w.ctx, watch()));
    for (let hour = 0; hour < 3; hour++) {
      await w.clock.advance(3_600_000);
      const [stored] = await w.found(registry.endpoints, { name: "nse-1" });
      expect(fromTimestamp(stored!.initialRegistrationTime!)).toBe(registered);
    }
    expect(new Set(story(reader.seen))).toEqual(new Set(["+nse-1 tcp://nse-1:6001"]));
    reader.stop();
    await client.endpoints.unregister(w.ctx, nse("nse-1"));
    expect(await w.found(registry.endpoints)).toEqual([]);
    await w.clock.settle();
    expect(w.leftovers()).toEqual({});
  });

  test("remove a dead endpoint within one minute, and report it to watches", async () => {
    w.registry();
    const client = w.client("nse-1", REGISTRY);
    const reader = listen(w.client("nsc", REGISTRY).endpoints.find(w.ctx, watch()));
    await client.endpoints.register(w.ctx, nse("nse-1"));
    client.kill();
    await w.clock.advance(44_000);
    expect(story(reader.seen)).toEqual(["+nse-1 tcp://nse-1:6001"]);
    await w.clock.advance(16_000);
    expect(story(reader.seen)).toEqual(["+nse-1 tcp://nse-1:6001", "-nse-1 tcp://nse-1:6001"]);
    reader.stop();
    await w.clock.settle();
    expect(w.leftovers()).toEqual({});
  });

  test("set the payload IP for a service without one", async () => {
    const registry = w.registry();
    const client = w.client("nse-1", REGISTRY);
    await client.networkServices.register(w.ctx, ns("icmp"));
    expect(await services(w.ctx, client.networkServices)).toMatchObject([{ name: "icmp", payload: "IP" }]);
    await client.networkServices.unregister(w.ctx, ns("icmp"));
    expect(await services(w.ctx, registry.networkServices)).toEqual([]);
    await w.clock.settle();
    expect(w.leftovers()).toEqual({});
  });

  test("restore the registrations after the registry has lost all entries", async () => {
    const first = w.registry();
    const client = w.client("nse-1", REGISTRY);
    const nsc = w.client("nsc", REGISTRY);
    await client.networkServices.register(w.ctx, ns("icmp"));
    await client.endpoints.register(w.ctx, nse("nse-1"));
    const reader = listen(nsc.endpoints.find(w.ctx, watch()));
    await w.clock.settle();
    first.kill();
    await w.clock.advance(20_000);
    const second = w.registry();
    expect(await w.found(second.endpoints)).toEqual([]);
    await w.clock.advance(15_000);
    expect(await w.found(second.endpoints)).toMatchObject([{ name: "nse-1" }]);
    expect(await services(w.ctx, second.networkServices)).toMatchObject([{ name: "icmp" }]);
    await w.clock.advance(600_000);
    await client.endpoints.unregister(w.ctx, nse("nse-1"));
    await w.clock.settle();
    expect(story(reader.seen).at(-1)).toBe("-nse-1 tcp://nse-1:6001");
    expect(reader.end).toBeUndefined();
    reader.stop();
  });

  test("hold one registration when the answer to the first Register is lost", async () => {
    const registry = w.registry();
    const client = w.client("nse-1", REGISTRY);
    w.network.faults.dropResponses({ method: "Register", times: 1 });
    const answer = client.endpoints.register(w.ctx, nse("nse-1"));
    await w.clock.advance(1_000);
    expect((await answer).name).toBe("nse-1");
    expect(await w.found(registry.endpoints)).toHaveLength(1);
    await client.endpoints.unregister(w.ctx, nse("nse-1"));
  });

  test("report the last failure when there is no registry", async () => {
    const client = w.client("nse-1", REGISTRY);
    const call = w.ctx
      .withTimeout(5_000, (c) => client.endpoints.register(c, nse("nse-1")))
      .catch((error: unknown) => error);
    await w.clock.advance(5_000);
    expect(await call).toMatchObject({ code: Code.DeadlineExceeded, cause: { code: Code.Unavailable } });
    expect(w.leftovers()).toEqual({});
  });

  test("reject an endpoint without a name at once, without retries", async () => {
    w.registry();
    const client = w.client("nse-1", REGISTRY);
    await expect(client.endpoints.register(w.ctx, nse(""))).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(w.leftovers()).toEqual({});
  });

  test("return more endpoints than any of their buffers can hold", async () => {
    const registry = w.registry();
    const manager = w.nsmgr("nsmgr-1");
    for (let i = 0; i < 500; i++) await registry.endpoints.register(w.ctx, nse(`nse-${i}`));
    expect(await w.found(manager.discovery.endpoints, { networkServiceNames: ["icmp"] })).toHaveLength(500);
  });
});

describe("a manager's registry", () => {
  test("shows the real URLs to its node and its own URL to the domain", async () => {
    const registry = w.registry();
    const near = w.nsmgr("nsmgr-1");
    const far = w.nsmgr("nsmgr-2");
    const client = w.client("nse-1", "tcp://nsmgr-1:5001");
    const answer = await client.endpoints.register(w.ctx, nse("nse-1"));
    expect(answer.url).toBe("tcp://nse-1:6001");
    expect(answer.pathIds).toEqual([idOf("nse-1"), idOf("nsmgr-1"), idOf("registry")]);
    const seenAs = async (endpoints: EndpointRegistry): Promise<string[]> =>
      (await w.found(endpoints, { name: "nse-1" })).map(({ url }) => url);
    expect(await seenAs(registry.endpoints)).toEqual(["tcp://nsmgr-1:5001"]);
    expect(await seenAs(far.endpoints)).toEqual(["tcp://nsmgr-1:5001"]);
    expect(await seenAs(near.endpoints)).toEqual(["tcp://nse-1:6001"]);
    expect(await seenAs(near.discovery.endpoints)).toEqual(["tcp://nse-1:6001"]);
    await client.endpoints.unregister(w.ctx, nse("nse-1"));
    expect(await seenAs(far.endpoints)).toEqual([]);
    await w.clock.settle();
    expect(w.leftovers()).toEqual({});
  });

  test("forwards the path with every token in its segment, and restores the index", async () => {
    w.registry();
    w.nsmgr("nsmgr-1");
    const client = w.client("nse-1", "tcp://nsmgr-1:5001");
    const holder = { current: { index: 0, segments: [] as { token: string }[] } };
    const ctx = w.ctx.with(registrationPath, holder);
    const subjects = (): string[] =>
      holder.current.segments.map(({ token }) => JSON.parse(atob(token.split(".")[1]!)).sub as string);
    await client.endpoints.register(ctx, nse("nse-1"));
    expect(holder.current.index).toBe(0);
    expect(subjects()).toEqual(["nse-1", "nsmgr-1", "registry"].map(idOf));
    await client.endpoints.register(ctx, nse("nse-1"));
    expect(subjects()).toEqual(["nse-1", "nsmgr-1", "registry"].map(idOf));
    await client.endpoints.unregister(ctx, nse("nse-1"));
    expect(holder.current.index).toBe(0);
    expect(holder.current.segments).toHaveLength(3);
  });

  test("works without an upstream registry", async () => {
    const manager = w.nsmgr("nsmgr-1", { withRegistry: false });
    const client = w.client("nse-1", "tcp://nsmgr-1:5001");
    await client.networkServices.register(w.ctx, ns("icmp"));
    await client.endpoints.register(w.ctx, nse("nse-1"));
    expect(await services(w.ctx, manager.discovery.networkServices)).toMatchObject([{ payload: "IP" }]);
    for (const like of [{ networkServiceNames: ["icmp"] }, { url: "tcp://nsmgr-1:5001" }]) {
      expect(await w.found(manager.discovery.endpoints, like)).toMatchObject([{ url: "tcp://nse-1:6001" }]);
    }
    client.kill();
    await w.clock.advance(60_000);
    expect(await w.found(manager.discovery.endpoints)).toEqual([]);
    await manager.networkServices.unregister(w.ctx, ns("icmp"));
    expect(w.leftovers()).toEqual({});
  });

  test("finds the forwarders of its node by its own URL", async () => {
    w.registry();
    const near = w.nsmgr("nsmgr-1");
    w.nsmgr("nsmgr-2");
    const forwarder = { networkServiceNames: ["forwarder"], networkServiceLabels: {} };
    const one = w.client("fwd-1", "tcp://nsmgr-1:5001");
    const two = w.client("fwd-2", "tcp://nsmgr-2:5001");
    await one.endpoints.register(w.ctx, nse("fwd-1", forwarder));
    await two.endpoints.register(w.ctx, nse("fwd-2", forwarder));
    const query = { networkServiceNames: ["forwarder"], url: "tcp://nsmgr-1:5001" };
    expect(await w.found(near.discovery.endpoints, query)).toMatchObject([
      { name: "fwd-1", url: "tcp://fwd-1:6001" },
    ]);
  });

  test("removes a dead endpoint from the upstream registry too", async () => {
    const registry = w.registry();
    w.nsmgr("nsmgr-1");
    const client = w.client("nse-1", "tcp://nsmgr-1:5001");
    await w.ctx.withTimeout(15_000, (c) => client.endpoints.register(c, nse("nse-1")));
    client.kill();
    await w.clock.advance(44_999);
    expect(await w.found(registry.endpoints)).toHaveLength(1);
    await w.clock.advance(1);
    expect(await w.found(registry.endpoints)).toEqual([]);
    await w.clock.advance(15_000);
    expect(w.leftovers()).toEqual({});
  });

  test("is the only process that an endpoint must reach again after a restart", async () => {
    const registry = w.registry();
    const first = w.nsmgr("nsmgr-1");
    const client = w.client("nse-1", "tcp://nsmgr-1:5001");
    const reader = listen(w.client("nsc", "tcp://nsmgr-1:5001").endpoints.find(w.ctx, watch()));
    await client.networkServices.register(w.ctx, ns("icmp"));
    await client.endpoints.register(w.ctx, nse("nse-1"));
    await w.clock.settle();
    first.kill();
    await w.clock.advance(2_000);
    const second = w.nsmgr("nsmgr-1");
    // Either no entry or the valid URL.
    expect(await w.found(second.endpoints)).toEqual([]);
    await w.clock.advance(10_000);
    expect(await w.found(second.endpoints)).toMatchObject([{ url: "tcp://nse-1:6001" }]);
    expect(await w.found(registry.endpoints)).toHaveLength(1);
    const other = w.client("nse-2", "tcp://nsmgr-1:5001");
    await other.endpoints.register(w.ctx, nse("nse-2"));
    await w.clock.settle();
    expect(story(reader.seen).at(-1)).toBe("+nse-2 tcp://nse-2:6001");
    expect(new Set(story(reader.seen).filter((line) => line.startsWith("+")))).toEqual(
      new Set(["+nse-1 tcp://nse-1:6001", "+nse-2 tcp://nse-2:6001"]),
    );
    reader.stop();
  });

  test("forwards an Unregister of an entry that was registered through it before a restart", async () => {
    const registry = w.registry();
    const first = w.nsmgr("nsmgr-1");
    await first.networkServices.register(w.ctx, ns("icmp"));
    await first.endpoints.register(w.ctx, nse("nse-1"));
    first.kill();
    const second = w.nsmgr("nsmgr-1");
    await second.networkServices.unregister(w.ctx, ns("icmp"));
    await second.endpoints.unregister(w.ctx, nse("nse-1"));
    expect(await services(w.ctx, registry.networkServices)).toEqual([]);
    expect(await w.found(registry.endpoints)).toEqual([]);
    expect(w.leftovers()).toEqual({});
  });

  test("reports that the registry is down, not that no entry was found", async () => {
    const manager = w.nsmgr("nsmgr-1");
    await expect(w.found(manager.endpoints)).rejects.toMatchObject({ code: Code.Unavailable });
    await expect(manager.endpoints.register(w.ctx, nse("nse-1"))).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    expect(w.leftovers()).toEqual({});
  });

  test("leaves no resources after a rejected Register", async () => {
    const registry = w.registry();
    const manager = w.nsmgr("nsmgr-1");
    await expect(manager.endpoints.register(w.ctx, nse("nse-1", { url: "" }))).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(await w.found(registry.endpoints)).toEqual([]);
    expect(w.leftovers()).toEqual({});
  });
});

describe("a manager with a cache", () => {
  const icmp = { networkServiceNames: ["icmp"] };
  const urls = async (manager: { readonly discovery: { readonly endpoints: EndpointRegistry } }) =>
    (await w.found(manager.discovery.endpoints, icmp)).map(({ url }) => url).sort();

  test("answers without the registry, and receives every change", async () => {
    w.registry();
    const near = w.nsmgr("nsmgr-1");
    w.nsmgr("nsmgr-2");
    const one = w.client("nse-1", "tcp://nsmgr-1:5001");
    const two = w.client("nse-2", "tcp://nsmgr-2:5001");
    await one.endpoints.register(w.ctx, nse("nse-1"));
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
    await w.clock.settle();
    const undo = w.network.faults.delay({ from: "nsmgr-1", method: "Find", ms: 1_000, direction: "there" });
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
    undo();
    await two.endpoints.register(w.ctx, nse("nse-2"));
    await w.clock.settle();
    expect(await urls(near)).toEqual(["tcp://nse-1:6001", "tcp://nsmgr-2:5001"]);
    two.kill();
    await w.clock.advance(60_000);
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
    await one.endpoints.unregister(w.ctx, nse("nse-1"));
    await w.clock.settle();
    expect(w.leftovers()).toEqual({});
  });

  test("returns the last known entries during an outage of the registry, and updates them from the next one", async () => {
    const first = w.registry();
    const near = w.nsmgr("nsmgr-1");
    const far = w.nsmgr("nsmgr-2");
    await near.endpoints.register(w.ctx, nse("nse-1"));
    await far.endpoints.register(w.ctx, nse("nse-2"));
    expect(await urls(near)).toEqual(["tcp://nse-1:6001", "tcp://nsmgr-2:5001"]);
    await w.clock.settle();
    first.kill();
    await w.clock.settle();
    expect(await urls(near)).toEqual(["tcp://nse-1:6001", "tcp://nsmgr-2:5001"]);
    w.registry();
    await w.clock.advance(10_000);
    expect(await urls(near)).toEqual([]);
    await near.endpoints.register(w.ctx, nse("nse-1"));
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
  });
});

describe("an endpoint that moves to another node", () => {
  const HERE = "tcp://new-node:6001";

  /** An endpoint registered through nsmgr-1, whose program died and restarted behind nsmgr-2. */
  async function moved() {
    const registry = w.registry();
    const left = w.nsmgr("nsmgr-1");
    const entered = w.nsmgr("nsmgr-2");
    const old = w.client("nse-old", "tcp://nsmgr-1:5001");
    await old.endpoints.register(w.ctx, nse("nse-1"));
    // Both managers watch the service.
    for (const manager of [left, entered]) await w.found(manager.discovery.endpoints, nse("", { url: "" }));
    old.kill();
    await w.clock.advance(5_000);
    const client = w.client("nse-new", "tcp://nsmgr-2:5001");
    await client.endpoints.register(w.ctx, nse("nse-1", { url: HERE }));
    return { registry, left, entered, client };
  }
  const urlsIn = async (endpoints: EndpointRegistry): Promise<string[]> =>
    (await w.found(endpoints, { name: "nse-1" })).map(({ url }) => url);

  test("is found at the new URL at once, not at the old one", async () => {
    const { registry, left, entered, client } = await moved();
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    expect(await urlsIn(left.discovery.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    expect(await urlsIn(entered.discovery.endpoints)).toEqual([HERE]);
    await client.endpoints.unregister(w.ctx, nse("nse-1", { url: HERE }));
  });

  test("stays registered when its old registration expires at the old manager", async () => {
    const { registry, left, client } = await moved();
    const reader = listen(registry.endpoints.find(w.ctx, watch()));
    await w.clock.advance(180_000);
    expect(left.debugState()).not.toMatchObject({ endpoints: { expire: expect.anything() } });
    expect(story(reader.seen)).not.toContain("-nse-1 tcp://nsmgr-2:5001");
    expect(await urlsIn(left.discovery.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    reader.stop();
    await client.endpoints.unregister(w.ctx, nse("nse-1", { url: HERE }));
    expect(await urlsIn(registry.endpoints)).toEqual([]);
  });

  test("stays registered when its old program unregisters late, through any elements", async () => {
    const { registry, left, client } = await moved();
    await left.endpoints.unregister(w.ctx, nse("nse-1"));
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    expect(await urlsIn(left.discovery.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    // A manager that does not know the endpoint forwards the entry with its own URL.
    await registry.endpoints.unregister(w.ctx, nse("nse-1", { url: "tcp://nsmgr-1:5001" }));
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    await client.endpoints.unregister(w.ctx, nse("nse-1", { url: HERE }));
    expect(await urlsIn(registry.endpoints)).toEqual([]);
  });

  test("stays registered at its own manager when it moved within the node", async () => {
    const manager = w.nsmgr("nsmgr-1", { withRegistry: false });
    const client = w.client("nse-new", "tcp://nsmgr-1:5001");
    await manager.endpoints.register(w.ctx, nse("nse-1"));
    await client.endpoints.register(w.ctx, nse("nse-1", { url: HERE }));
    await manager.endpoints.unregister(w.ctx, nse("nse-1"));
    expect(await urlsIn(manager.discovery.endpoints)).toEqual([HERE]);
    await client.endpoints.unregister(w.ctx, nse("nse-1", { url: HERE }));
    expect(await urlsIn(manager.discovery.endpoints)).toEqual([]);
  });
});

describe("a watch over several hops", () => {
  const urlOf = (hop: number): string => `tcp://hop-${hop}:5001`;

  /** `length` servers in a row, the last with a store. */
  function row(length: number): { kill(): void }[] {
    return Array.from({ length }, (_, hop) => {
      const tokens = insecureTokens({ clock: w.clock, subject: idOf(`hop-${hop}`) });
      const remotes = w.network.remotes({ name: `hop-${hop}`, tokens });
      const end: ChainElement<EndpointRegistry> =
        hop === length - 1 ? memoryEndpoints() : dialEndpoints({ remotes, url: urlOf(hop + 1) });
      const endpoints = endpointRegistryChain([updatePath({ tokens }), begin(), end]);
      const server = w.network.listen(urlOf(hop), { endpoints });
      return {
        kill() {
          server.close();
          remotes.close();
        },
      };
    });
  }

  const every = Array.from({ length: 9 }, (_, i) => i + 2).flatMap((length) =>
    Array.from({ length }, (_, killed) => [length, killed] as const),
  );

  test.each(every)("of %i servers ends with an error when server %i is killed", async (length, killed) => {
    const hops = row(length);
    const remotes = w.network.remotes({ name: "client" });
    const chain = endpointRegistryChain([dialEndpoints({ remotes, url: urlOf(0) })]);
    const reader = listen(chain.find(w.ctx, watch()));
    await chain.register(w.ctx, nse("nse-1"));
    await w.clock.settle();
    expect(story(reader.seen)).toEqual(["+nse-1 tcp://nse-1:6001"]);
    hops[killed]!.kill();
    await w.clock.settle();
    await w.clock.settle();
    expect(reader.end?.error).toBeDefined();
    hops.forEach((hop) => hop.kill());
    expect(w.network.debugState()).toMatchObject({ calls: 0, listeners: 0 });
  });

  test("ends with an error when a server ends the stream without an error", async () => {
    w.network.listen(urlOf(0), { endpoints: endpointRegistryChain([]) });
    const remotes = w.network.remotes({ name: "client" });
    const reader = listen(
      endpointRegistryChain([dialEndpoints({ remotes, url: urlOf(0) })]).find(w.ctx, watch()),
    );
    await w.clock.settle();
    expect(reader.end).toMatchObject({ error: { code: Code.Unavailable } });
  });
});

describe("registrations in an unreliable network", () => {
  test("are consistent in the end, and leave no resources", async () => {
    const registry = w.registry();
    const manager = w.nsmgr("nsmgr-1");
    w.network.faults.dropResponses({ chance: 0.1 });
    w.network.faults.cancelCalls({ chance: 0.05 });
    w.network.faults.delay({ ms: 5, jitterMs: 50 });
    const clients = Array.from({ length: 10 }, (_, i) => w.client(`nse-${i}`, "tcp://nsmgr-1:5001"));
    const each = async (call: (client: (typeof clients)[number]) => Promise<unknown>): Promise<void> => {
      const all = Promise.all(clients.map(call));
      let done = false;
      void all.then(() => (done = true));
      for (let i = 0; i < 100 && !done; i++) await w.clock.advance(1_000);
      await all;
    };
    for (let round = 0; round < 3; round++) {
      await each((client) => client.endpoints.register(w.ctx, nse(client.name)));
      await each((client) => client.endpoints.register(w.ctx, nse(client.name)));
      expect(await w.found(registry.endpoints)).toHaveLength(10);
      await w.clock.advance(300_000);
      expect(await w.found(registry.endpoints)).toHaveLength(10);
      await each((client) => client.endpoints.unregister(w.ctx, nse(client.name)));
      expect(await w.found(registry.endpoints)).toEqual([]);
      await w.clock.advance(60_000);
      expect(w.leftovers()).toEqual({});
    }
    expect(manager.debugState()).toEqual({});
  });

  test("expire in time when a manager is cut off from the registry", async () => {
    const registry = w.registry();
    w.nsmgr("nsmgr-1");
    const client = w.client("nse-1", "tcp://nsmgr-1:5001");
    await client.endpoints.register(
      w.ctx,
      nse("nse-1", { expirationTime: toTimestamp(w.clock.now() + 30_000) }),
    );
    const heals = w.network.faults.cut({ from: "nsmgr-1", to: REGISTRY });
    await w.clock.advance(30_000);
    expect(await w.found(registry.endpoints)).toEqual([]);
    heals();
    await w.clock.advance(30_000);
    expect(await w.found(registry.endpoints)).toHaveLength(1);
  });
});
