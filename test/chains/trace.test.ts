import { expect, test } from "vitest";
import { NetworkServiceEntry, Payload } from "../../src/api/index.js";
import { forwarder } from "../../src/chains/forwarder/index.js";
import { nsmgr } from "../../src/chains/nsmgr/index.js";
import { registry } from "../../src/chains/registry/index.js";
import { Context, type NetworkService, type TraceHook } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { memoryNetwork } from "../../src/memory/index.js";
import { sampleEndpoint, sampleRequest, virtualClock } from "../../src/testing/index.js";

const clock = virtualClock();
const ctx = Context.background({ clock });
const { tokens } = insecureIdentity({ clock, subject: "spiffe://test/hop" });
const program = new AbortController();
const own = {
  tokens,
  until: program.signal,
  remotes: memoryNetwork({ clock }).remotes({ name: "hop", tokens }),
};

/** The elements that process a Request to a next hop that does not exist. */
async function traced(make: (trace: TraceHook) => Promise<NetworkService>): Promise<string[]> {
  const seen: string[] = [];
  const networkService = await make(({ element, method, ctx: c, proceed }) => {
    if (method === "request") seen.push(element);
    return proceed(c);
  });
  await expect(networkService.request(ctx, sampleRequest(clock.now()))).rejects.toThrow();
  return seen;
}

const bothHalves = ["begin/server", "connect/server", "begin/client", "connect/client"];

test("the trace hook of a manager sees the server and the client part of its chain", async () => {
  const seen = await traced(async (trace) => {
    const manager = nsmgr({ ...own, name: "nsmgr", url: "tcp://nsmgr:1", trace });
    await manager.networkServices.register(ctx, NetworkServiceEntry.create({ name: "icmp" }));
    await manager.endpoints.register(ctx, sampleEndpoint(clock.now(), { url: "tcp://nse:1" }));
    const forwarder = { name: "fwd", networkServiceNames: ["forwarder"], url: "tcp://fwd:1" };
    await manager.endpoints.register(ctx, sampleEndpoint(clock.now(), forwarder));
    return manager.networkService;
  });
  expect(seen).toEqual(expect.arrayContaining(bothHalves));
});

test("the trace hook of a forwarder sees both halves of its chain", async () => {
  const registries = registry(own);
  const service = NetworkServiceEntry.create({ name: "icmp", payload: Payload.Ethernet });
  await registries.networkServices.register(ctx, service);
  await registries.endpoints.register(ctx, sampleEndpoint(clock.now(), { url: "tcp://nse:1" }));
  const seen = await traced(async (trace) => {
    const mechanisms = { server: [], client: [] };
    return forwarder({ ...own, ...registries, name: "forwarder", mechanisms, trace }).networkService;
  });
  expect(seen).toEqual(expect.arrayContaining(bothHalves));
});
