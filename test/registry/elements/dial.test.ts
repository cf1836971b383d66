import { describe, expect, test } from "vitest";
import { NetworkServiceEntry } from "../../../src/api/index.js";
import {
  Code,
  Context,
  endpointRegistryChain,
  networkServiceRegistryChain,
  remoteUrl,
} from "../../../src/core/index.js";
import { memoryNetwork } from "../../../src/memory/index.js";
import { dialEndpoints, dialNetworkServices } from "../../../src/registry/elements/dial/index.js";
import { recorder, sampleEndpoint, virtualClock } from "../../../src/testing/index.js";
import { listen } from "../support.js";

const clock = virtualClock();
const network = memoryNetwork({ clock });
const ctx = Context.background({ clock });
const remotes = network.remotes({ name: "client" });

describe("dial", () => {
  test("uses the address of the call, or else its own", async () => {
    const own = recorder();
    const other = recorder();
    const servers = [
      network.listen("tcp://own:1", { endpoints: endpointRegistryChain([own]) }),
      network.listen("tcp://other:1", { endpoints: endpointRegistryChain([other]) }),
    ];
    const chain = endpointRegistryChain([dialEndpoints({ remotes, url: "tcp://own:1" })]);
    await chain.register(ctx, sampleEndpoint(0));
    await chain.unregister(ctx.with(remoteUrl, "tcp://other:1"), sampleEndpoint(0));
    expect(own.calls).toEqual(["register"]);
    expect(other.calls).toEqual(["unregister"]);
    servers.forEach((server) => server.close());
  });

  test("also calls the network service registry", async () => {
    const seen = recorder();
    const networkServices = networkServiceRegistryChain([seen]);
    const server = network.listen("tcp://own:1", { networkServices });
    const chain = networkServiceRegistryChain([dialNetworkServices({ remotes, url: "tcp://own:1" })]);
    expect((await chain.register(ctx, NetworkServiceEntry.create({ name: "icmp" }))).name).toBe("icmp");
    expect(seen.calls).toEqual(["register"]);
    server.close();
  });

  test("rejects a call without an address, including Finds", async () => {
    const chain = endpointRegistryChain([dialEndpoints({ remotes })]);
    const refused = { code: Code.FailedPrecondition };
    await expect(chain.register(ctx, sampleEndpoint(0))).rejects.toMatchObject(refused);
    await expect(chain.unregister(ctx, sampleEndpoint(0))).rejects.toMatchObject(refused);
    const reader = listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: false }));
    expect(reader.end).toMatchObject({ error: refused });
  });

  test("completes a plain Find with the registry, and reports the end of a watch as an error", async () => {
    const server = network.listen("tcp://own:1", { endpoints: endpointRegistryChain([]) });
    const chain = endpointRegistryChain([dialEndpoints({ remotes, url: "tcp://own:1" })]);
    const plain = listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: false }));
    const watch = listen(chain.find(ctx, { networkServiceEndpoint: undefined, watch: true }));
    await clock.settle();
    expect(plain.end).toEqual({});
    expect(watch.end).toMatchObject({ error: { code: Code.Unavailable } });
    server.close();
  });
});
