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
import { changesOf, idOf, ns, nse, REGISTRY, registryMesh, services, watchQuery } from "./registry-mesh.js";

let net: ReturnType<typeof registryMesh>;
beforeEach(() => void (net = registryMesh()));
afterEach(async () => {
  net.killAll();
  net.network.faults.clear();
  await net.clock.settle();
  expect(net.leftovers()).toEqual({});
});

describe("a registry and its client", () => {
  test("keep an endpoint as long as its client runs, and remove it when it is unregistered", async () => {
    const registry = net.registry();
    const client = net.client("nse-1", REGISTRY);
    const answer = await client.endpoints.register(net.ctx, nse("nse-1"));
    expect(fromTimestamp(answer.expirationTime!)).toBe(net.clock.now() + 60_000);
    expect(answer.pathIds).toEqual([idOf("nse-1"), idOf("registry")]);
    const registered = net.clock.now();
    const reader = listen(registry.endpoints.find(net.ctx, watchQuery()));
    for (let hour = 0; hour < 3; hour++) {
      await net.clock.advance(3_600_000);
      const [stored] = await net.found(registry.endpoints, { name: "nse-1" });
      expect(fromTimestamp(stored!.initialRegistrationTime!)).toBe(registered);
    }
    expect(new Set(changesOf(reader.seen))).toEqual(new Set(["+nse-1 tcp://nse-1:6001"]));
    reader.stop();
    await client.endpoints.unregister(net.ctx, nse("nse-1"));
    expect(await net.found(registry.endpoints)).toEqual([]);
    await net.clock.settle();
    expect(net.leftovers()).toEqual({});
  });

  test("remove a dead endpoint within one minute, and report it to watches", async () => {
    net.registry();
    const client = net.client("nse-1", REGISTRY);
    const reader = listen(net.client("nsc", REGISTRY).endpoints.find(net.ctx, watchQuery()));
    await client.endpoints.register(net.ctx, nse("nse-1"));
    client.kill();
    await net.clock.advance(44_000);
    expect(changesOf(reader.seen)).toEqual(["+nse-1 tcp://nse-1:6001"]);
    await net.clock.advance(16_000);
    expect(changesOf(reader.seen)).toEqual(["+nse-1 tcp://nse-1:6001", "-nse-1 tcp://nse-1:6001"]);
    reader.stop();
    await net.clock.settle();
    expect(net.leftovers()).toEqual({});
  });

  test("set the payload IP for a service without one", async () => {
    const registry = net.registry();
    const client = net.client("nse-1", REGISTRY);
    await client.networkServices.register(net.ctx, ns("icmp"));
    expect(await services(net.ctx, client.networkServices)).toMatchObject([{ name: "icmp", payload: "IP" }]);
    await client.networkServices.unregister(net.ctx, ns("icmp"));
    expect(await services(net.ctx, registry.networkServices)).toEqual([]);
    await net.clock.settle();
    expect(net.leftovers()).toEqual({});
  });

  test("restore the registrations after the registry has lost all entries", async () => {
    const first = net.registry();
    const client = net.client("nse-1", REGISTRY);
    const nsc = net.client("nsc", REGISTRY);
    await client.networkServices.register(net.ctx, ns("icmp"));
    await client.endpoints.register(net.ctx, nse("nse-1"));
    const reader = listen(nsc.endpoints.find(net.ctx, watchQuery()));
    await net.clock.settle();
    first.kill();
    await net.clock.advance(20_000);
    const second = net.registry();
    expect(await net.found(second.endpoints)).toEqual([]);
    await net.clock.advance(15_000);
    expect(await net.found(second.endpoints)).toMatchObject([{ name: "nse-1" }]);
    expect(await services(net.ctx, second.networkServices)).toMatchObject([{ name: "icmp" }]);
    await net.clock.advance(600_000);
    await client.endpoints.unregister(net.ctx, nse("nse-1"));
    await net.clock.settle();
    expect(changesOf(reader.seen).at(-1)).toBe("-nse-1 tcp://nse-1:6001");
    expect(reader.end).toBeUndefined();
    reader.stop();
  });

  test("hold one registration when the answer to the first Register is lost", async () => {
    const registry = net.registry();
    const client = net.client("nse-1", REGISTRY);
    net.network.faults.dropResponses({ method: "Register", times: 1 });
    const answer = client.endpoints.register(net.ctx, nse("nse-1"));
    await net.clock.advance(1_000);
    expect((await answer).name).toBe("nse-1");
    expect(await net.found(registry.endpoints)).toHaveLength(1);
    await client.endpoints.unregister(net.ctx, nse("nse-1"));
  });

  test("report the last failure when there is no registry", async () => {
    const client = net.client("nse-1", REGISTRY);
    const call = net.ctx
      .withTimeout(5_000, (c) => client.endpoints.register(c, nse("nse-1")))
      .catch((error: unknown) => error);
    await net.clock.advance(5_000);
    expect(await call).toMatchObject({ code: Code.DeadlineExceeded, cause: { code: Code.Unavailable } });
    expect(net.leftovers()).toEqual({});
  });

  test("reject an endpoint without a name at once, without retries", async () => {
    net.registry();
    const client = net.client("nse-1", REGISTRY);
    await expect(client.endpoints.register(net.ctx, nse(""))).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(net.leftovers()).toEqual({});
  });

  test("return more endpoints than any of their buffers can hold", async () => {
    const registry = net.registry();
    const manager = net.nsmgr("nsmgr-1");
    for (let i = 0; i < 500; i++) await registry.endpoints.register(net.ctx, nse(`nse-${i}`));
    expect(await net.found(manager.discovery.endpoints, { networkServiceNames: ["icmp"] })).toHaveLength(500);
  });
});

describe("a manager's registry", () => {
  test("shows the real URLs to its node and its own URL to the domain", async () => {
    const registry = net.registry();
    const near = net.nsmgr("nsmgr-1");
    const far = net.nsmgr("nsmgr-2");
    const client = net.client("nse-1", "tcp://nsmgr-1:5001");
    const answer = await client.endpoints.register(net.ctx, nse("nse-1"));
    expect(answer.url).toBe("tcp://nse-1:6001");
    expect(answer.pathIds).toEqual([idOf("nse-1"), idOf("nsmgr-1"), idOf("registry")]);
    const urlsIn = async (endpoints: EndpointRegistry): Promise<string[]> =>
      (await net.found(endpoints, { name: "nse-1" })).map(({ url }) => url);
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-1:5001"]);
    expect(await urlsIn(far.endpoints)).toEqual(["tcp://nsmgr-1:5001"]);
    expect(await urlsIn(near.endpoints)).toEqual(["tcp://nse-1:6001"]);
    expect(await urlsIn(near.discovery.endpoints)).toEqual(["tcp://nse-1:6001"]);
    await client.endpoints.unregister(net.ctx, nse("nse-1"));
    expect(await urlsIn(far.endpoints)).toEqual([]);
    await net.clock.settle();
    expect(net.leftovers()).toEqual({});
  });

  test("forwards the path with every token in its segment, and restores the index", async () => {
    net.registry();
    net.nsmgr("nsmgr-1");
    const client = net.client("nse-1", "tcp://nsmgr-1:5001");
    const holder = { current: { index: 0, segments: [] as { token: string }[] } };
    const ctx = net.ctx.with(registrationPath, holder);
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
    const manager = net.nsmgr("nsmgr-1", { withRegistry: false });
    const client = net.client("nse-1", "tcp://nsmgr-1:5001");
    await client.networkServices.register(net.ctx, ns("icmp"));
    await client.endpoints.register(net.ctx, nse("nse-1"));
    expect(await services(net.ctx, manager.discovery.networkServices)).toMatchObject([{ payload: "IP" }]);
    for (const like of [{ networkServiceNames: ["icmp"] }, { url: "tcp://nsmgr-1:5001" }]) {
      expect(await net.found(manager.discovery.endpoints, like)).toMatchObject([{ url: "tcp://nse-1:6001" }]);
    }
    client.kill();
    await net.clock.advance(60_000);
    expect(await net.found(manager.discovery.endpoints)).toEqual([]);
    await manager.networkServices.unregister(net.ctx, ns("icmp"));
    expect(net.leftovers()).toEqual({});
  });

  test("finds the forwarders of its node by its own URL", async () => {
    net.registry();
    const near = net.nsmgr("nsmgr-1");
    net.nsmgr("nsmgr-2");
    const forwarder = { networkServiceNames: ["forwarder"], networkServiceLabels: {} };
    const one = net.client("fwd-1", "tcp://nsmgr-1:5001");
    const two = net.client("fwd-2", "tcp://nsmgr-2:5001");
    await one.endpoints.register(net.ctx, nse("fwd-1", forwarder));
    await two.endpoints.register(net.ctx, nse("fwd-2", forwarder));
    const query = { networkServiceNames: ["forwarder"], url: "tcp://nsmgr-1:5001" };
    expect(await net.found(near.discovery.endpoints, query)).toMatchObject([
      { name: "fwd-1", url: "tcp://fwd-1:6001" },
    ]);
  });

  test("removes a dead endpoint from the upstream registry too", async () => {
    const registry = net.registry();
    net.nsmgr("nsmgr-1");
    const client = net.client("nse-1", "tcp://nsmgr-1:5001");
    await net.ctx.withTimeout(15_000, (c) => client.endpoints.register(c, nse("nse-1")));
    client.kill();
    await net.clock.advance(44_999);
    expect(await net.found(registry.endpoints)).toHaveLength(1);
    await net.clock.advance(1);
    expect(await net.found(registry.endpoints)).toEqual([]);
    await net.clock.advance(15_000);
    expect(net.leftovers()).toEqual({});
  });

  test("is the only process that an endpoint must reach again after a restart", async () => {
    const registry = net.registry();
    const first = net.nsmgr("nsmgr-1");
    const client = net.client("nse-1", "tcp://nsmgr-1:5001");
    const reader = listen(net.client("nsc", "tcp://nsmgr-1:5001").endpoints.find(net.ctx, watchQuery()));
    await client.networkServices.register(net.ctx, ns("icmp"));
    await client.endpoints.register(net.ctx, nse("nse-1"));
    await net.clock.settle();
    first.kill();
    await net.clock.advance(2_000);
    const second = net.nsmgr("nsmgr-1");
    // Either no entry or the valid URL.
    expect(await net.found(second.endpoints)).toEqual([]);
    await net.clock.advance(10_000);
    expect(await net.found(second.endpoints)).toMatchObject([{ url: "tcp://nse-1:6001" }]);
    expect(await net.found(registry.endpoints)).toHaveLength(1);
    const other = net.client("nse-2", "tcp://nsmgr-1:5001");
    await other.endpoints.register(net.ctx, nse("nse-2"));
    await net.clock.settle();
    expect(changesOf(reader.seen).at(-1)).toBe("+nse-2 tcp://nse-2:6001");
    expect(new Set(changesOf(reader.seen).filter((line) => line.startsWith("+")))).toEqual(
      new Set(["+nse-1 tcp://nse-1:6001", "+nse-2 tcp://nse-2:6001"]),
    );
    reader.stop();
  });

  test("forwards an Unregister of an entry that was registered through it before a restart", async () => {
    const registry = net.registry();
    const first = net.nsmgr("nsmgr-1");
    await first.networkServices.register(net.ctx, ns("icmp"));
    await first.endpoints.register(net.ctx, nse("nse-1"));
    first.kill();
    const second = net.nsmgr("nsmgr-1");
    await second.networkServices.unregister(net.ctx, ns("icmp"));
    await second.endpoints.unregister(net.ctx, nse("nse-1"));
    expect(await services(net.ctx, registry.networkServices)).toEqual([]);
    expect(await net.found(registry.endpoints)).toEqual([]);
    expect(net.leftovers()).toEqual({});
  });

  test("reports that the registry is down, not that no entry was found", async () => {
    const manager = net.nsmgr("nsmgr-1");
    await expect(net.found(manager.endpoints)).rejects.toMatchObject({ code: Code.Unavailable });
    await expect(manager.endpoints.register(net.ctx, nse("nse-1"))).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    expect(net.leftovers()).toEqual({});
  });

  test("leaves no resources after a rejected Register", async () => {
    const registry = net.registry();
    const manager = net.nsmgr("nsmgr-1");
    await expect(manager.endpoints.register(net.ctx, nse("nse-1", { url: "" }))).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    expect(await net.found(registry.endpoints)).toEqual([]);
    expect(net.leftovers()).toEqual({});
  });
});

describe("a manager with a cache", () => {
  const icmp = { networkServiceNames: ["icmp"] };
  const urls = async (manager: { readonly discovery: { readonly endpoints: EndpointRegistry } }) =>
    (await net.found(manager.discovery.endpoints, icmp)).map(({ url }) => url).sort();

  test("answers without the registry, and receives every change", async () => {
    net.registry();
    const near = net.nsmgr("nsmgr-1");
    net.nsmgr("nsmgr-2");
    const one = net.client("nse-1", "tcp://nsmgr-1:5001");
    const two = net.client("nse-2", "tcp://nsmgr-2:5001");
    await one.endpoints.register(net.ctx, nse("nse-1"));
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
    await net.clock.settle();
    const undo = net.network.faults.delay({
      from: "nsmgr-1",
      method: "Find",
      ms: 1_000,
      direction: "there",
    });
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
    undo();
    await two.endpoints.register(net.ctx, nse("nse-2"));
    await net.clock.settle();
    expect(await urls(near)).toEqual(["tcp://nse-1:6001", "tcp://nsmgr-2:5001"]);
    two.kill();
    await net.clock.advance(60_000);
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
    await one.endpoints.unregister(net.ctx, nse("nse-1"));
    await net.clock.settle();
    expect(net.leftovers()).toEqual({});
  });

  test("returns the last known entries during an outage of the registry, and updates them from the next one", async () => {
    const first = net.registry();
    const near = net.nsmgr("nsmgr-1");
    const far = net.nsmgr("nsmgr-2");
    await near.endpoints.register(net.ctx, nse("nse-1"));
    await far.endpoints.register(net.ctx, nse("nse-2"));
    expect(await urls(near)).toEqual(["tcp://nse-1:6001", "tcp://nsmgr-2:5001"]);
    await net.clock.settle();
    first.kill();
    await net.clock.settle();
    expect(await urls(near)).toEqual(["tcp://nse-1:6001", "tcp://nsmgr-2:5001"]);
    net.registry();
    await net.clock.advance(10_000);
    expect(await urls(near)).toEqual([]);
    await near.endpoints.register(net.ctx, nse("nse-1"));
    expect(await urls(near)).toEqual(["tcp://nse-1:6001"]);
  });
});

describe("an endpoint that moves to another node", () => {
  const HERE = "tcp://new-node:6001";

  /** An endpoint registered through nsmgr-1, whose program died and restarted behind nsmgr-2. */
  async function moved() {
    const registry = net.registry();
    const left = net.nsmgr("nsmgr-1");
    const entered = net.nsmgr("nsmgr-2");
    const old = net.client("nse-old", "tcp://nsmgr-1:5001");
    await old.endpoints.register(net.ctx, nse("nse-1"));
    // Both managers watch the service.
    for (const manager of [left, entered]) await net.found(manager.discovery.endpoints, nse("", { url: "" }));
    old.kill();
    await net.clock.advance(5_000);
    const client = net.client("nse-new", "tcp://nsmgr-2:5001");
    await client.endpoints.register(net.ctx, nse("nse-1", { url: HERE }));
    return { registry, left, entered, client };
  }
  const urlsIn = async (endpoints: EndpointRegistry): Promise<string[]> =>
    (await net.found(endpoints, { name: "nse-1" })).map(({ url }) => url);

  test("is found at the new URL at once, not at the old one", async () => {
    const { registry, left, entered, client } = await moved();
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    expect(await urlsIn(left.discovery.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    expect(await urlsIn(entered.discovery.endpoints)).toEqual([HERE]);
    await client.endpoints.unregister(net.ctx, nse("nse-1", { url: HERE }));
  });

  test("stays registered when its old registration expires at the old manager", async () => {
    const { registry, left, client } = await moved();
    const reader = listen(registry.endpoints.find(net.ctx, watchQuery()));
    await net.clock.advance(180_000);
    expect(left.debugState()).not.toMatchObject({ endpoints: { expire: expect.anything() } });
    expect(changesOf(reader.seen)).not.toContain("-nse-1 tcp://nsmgr-2:5001");
    expect(await urlsIn(left.discovery.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    reader.stop();
    await client.endpoints.unregister(net.ctx, nse("nse-1", { url: HERE }));
    expect(await urlsIn(registry.endpoints)).toEqual([]);
  });

  test("stays registered when its old program unregisters late, through any elements", async () => {
    const { registry, left, client } = await moved();
    await left.endpoints.unregister(net.ctx, nse("nse-1"));
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    expect(await urlsIn(left.discovery.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    // A manager that does not know the endpoint forwards the entry with its own URL.
    await registry.endpoints.unregister(net.ctx, nse("nse-1", { url: "tcp://nsmgr-1:5001" }));
    expect(await urlsIn(registry.endpoints)).toEqual(["tcp://nsmgr-2:5001"]);
    await client.endpoints.unregister(net.ctx, nse("nse-1", { url: HERE }));
    expect(await urlsIn(registry.endpoints)).toEqual([]);
  });

  test("stays registered at its own manager when it moved within the node", async () => {
    const manager = net.nsmgr("nsmgr-1", { withRegistry: false });
    const client = net.client("nse-new", "tcp://nsmgr-1:5001");
    await manager.endpoints.register(net.ctx, nse("nse-1"));
    await client.endpoints.register(net.ctx, nse("nse-1", { url: HERE }));
    await manager.endpoints.unregister(net.ctx, nse("nse-1"));
    expect(await urlsIn(manager.discovery.endpoints)).toEqual([HERE]);
    await client.endpoints.unregister(net.ctx, nse("nse-1", { url: HERE }));
    expect(await urlsIn(manager.discovery.endpoints)).toEqual([]);
  });
});

describe("a watch over several hops", () => {
  const urlOf = (hop: number): string => `tcp://hop-${hop}:5001`;

  /** `length` servers in a row, the last with a store. */
  function row(length: number): { kill(): void }[] {
    return Array.from({ length }, (_, hop) => {
      const tokens = insecureTokens({ clock: net.clock, subject: idOf(`hop-${hop}`) });
      const remotes = net.network.remotes({ name: `hop-${hop}`, tokens });
      const end: ChainElement<EndpointRegistry> =
        hop === length - 1 ? memoryEndpoints() : dialEndpoints({ remotes, url: urlOf(hop + 1) });
      const endpoints = endpointRegistryChain([updatePath({ tokens }), begin(), end]);
      const server = net.network.listen(urlOf(hop), { endpoints });
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
    const remotes = net.network.remotes({ name: "client" });
    const chain = endpointRegistryChain([dialEndpoints({ remotes, url: urlOf(0) })]);
    const reader = listen(chain.find(net.ctx, watchQuery()));
    await chain.register(net.ctx, nse("nse-1"));
    await net.clock.settle();
    expect(changesOf(reader.seen)).toEqual(["+nse-1 tcp://nse-1:6001"]);
    hops[killed]!.kill();
    await net.clock.settle();
    await net.clock.settle();
    expect(reader.end?.error).toBeDefined();
    hops.forEach((hop) => hop.kill());
    expect(net.network.debugState()).toMatchObject({ calls: 0, listeners: 0 });
  });

  test("ends with an error when a server ends the stream without an error", async () => {
    net.network.listen(urlOf(0), { endpoints: endpointRegistryChain([]) });
    const remotes = net.network.remotes({ name: "client" });
    const reader = listen(
      endpointRegistryChain([dialEndpoints({ remotes, url: urlOf(0) })]).find(net.ctx, watchQuery()),
    );
    await net.clock.settle();
    expect(reader.end).toMatchObject({ error: { code: Code.Unavailable } });
  });
});

describe("registrations in an unreliable network", () => {
  test("are consistent in the end, and leave no resources", async () => {
    const registry = net.registry();
    const manager = net.nsmgr("nsmgr-1");
    net.network.faults.dropResponses({ chance: 0.1 });
    net.network.faults.cancelCalls({ chance: 0.05 });
    net.network.faults.delay({ ms: 5, jitterMs: 50 });
    const clients = Array.from({ length: 10 }, (_, i) => net.client(`nse-${i}`, "tcp://nsmgr-1:5001"));
    const each = async (call: (client: (typeof clients)[number]) => Promise<unknown>): Promise<void> => {
      const all = Promise.all(clients.map(call));
      let done = false;
      void all.then(() => (done = true));
      for (let i = 0; i < 100 && !done; i++) await net.clock.advance(1_000);
      await all;
    };
    for (let round = 0; round < 3; round++) {
      await each((client) => client.endpoints.register(net.ctx, nse(client.name)));
      await each((client) => client.endpoints.register(net.ctx, nse(client.name)));
      expect(await net.found(registry.endpoints)).toHaveLength(10);
      await net.clock.advance(300_000);
      expect(await net.found(registry.endpoints)).toHaveLength(10);
      await each((client) => client.endpoints.unregister(net.ctx, nse(client.name)));
      expect(await net.found(registry.endpoints)).toEqual([]);
      await net.clock.advance(60_000);
      expect(net.leftovers()).toEqual({});
    }
    expect(manager.debugState()).toEqual({});
  });

  test("expire in time when a manager is cut off from the registry", async () => {
    const registry = net.registry();
    net.nsmgr("nsmgr-1");
    const client = net.client("nse-1", "tcp://nsmgr-1:5001");
    await client.endpoints.register(
      net.ctx,
      nse("nse-1", { expirationTime: toTimestamp(net.clock.now() + 30_000) }),
    );
    const heals = net.network.faults.cut({ from: "nsmgr-1", to: REGISTRY });
    await net.clock.advance(30_000);
    expect(await net.found(registry.endpoints)).toEqual([]);
    heals();
    await net.clock.advance(30_000);
    expect(await net.found(registry.endpoints)).toHaveLength(1);
  });
});
