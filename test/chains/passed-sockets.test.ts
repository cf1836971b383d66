import { lastValueFrom, toArray } from "rxjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NetworkServiceEndpoint } from "../../src/api/index.js";
import { cachedRegistry, nsmgrRegistry, type RegistryServices } from "../../src/chains/registry/index.js";
import { registryClient } from "../../src/chains/registry-client/index.js";
import { Context, type EndpointRegistry } from "../../src/core/index.js";
import { insecureIdentity } from "../../src/identity/index.js";
import { grpcServer, type Server } from "../../src/inbound/index.js";
import { grpcRemotes, type GrpcRemotes } from "../../src/outbound/index.js";
import { bypassCache, cachedOnly } from "../../src/registry/index.js";
import { sendFd } from "../../src/registry/elements/send-fd/index.js";
import { descriptorCount, descriptorsDownTo } from "../linux/descriptor-kit.js";
import { answerAt, Sockets } from "../registry/socket-kit.js";

const OWN = /^unix:\/\/\/proc\/self\/fd\/\d+$/;
const ctx = Context.background();
const identity = insecureIdentity();

/** A manager on a unix socket, and the registries of an endpoint and of a forwarder that call it. */
describe("sockets of endpoints over gRPC", () => {
  let before: number;
  let sockets: Sockets;
  let program: AbortController;
  let managerUrl: string;
  let manager: RegistryServices;
  let server: Server;
  let remotes: GrpcRemotes;
  let endpoints: EndpointRegistry;
  let found: RegistryServices;

  const startManager = async (): Promise<void> => {
    const services = nsmgrRegistry({
      url: "tcp://10.0.0.1:5001",
      tokens: identity.tokens,
      until: program.signal,
    });
    manager = services;
    server = await grpcServer({ identity, listenOn: [managerUrl], services, graceMs: 0 });
  };

  beforeEach(async () => {
    before = descriptorCount();
    sockets = new Sockets();
    program = new AbortController();
    managerUrl = `unix://${sockets.folder}/nsm.sock`;
    await startManager();
    remotes = grpcRemotes({ identity });
    ({ endpoints } = registryClient({
      remotes,
      url: managerUrl,
      until: program.signal,
      elements: { endpoints: [sendFd({ registryUrl: managerUrl })] },
    }));
    found = cachedRegistry({ ...remotes.to(managerUrl), until: program.signal });
  });
  afterEach(async () => {
    program.abort();
    remotes.close();
    await server.close();
    await sockets.remove();
    await descriptorsDownTo(before);
  });

  const register = async (name: string): Promise<NetworkServiceEndpoint> => {
    const url = await sockets.listen(name);
    const entry = NetworkServiceEndpoint.create({ name, url, networkServiceNames: ["ping"] });
    return endpoints.register(ctx, entry);
  };
  const find = async (c = ctx): Promise<Record<string, string>> => {
    const query = {
      networkServiceEndpoint: NetworkServiceEndpoint.create({ networkServiceNames: ["ping"] }),
      watch: false,
    };
    const all = await lastValueFrom(found.endpoints.find(c, query).pipe(toArray()));
    return Object.fromEntries(all.map(({ networkServiceEndpoint: one }) => [one!.name, one!.url]));
  };

  test("reach who finds them, keep their URL, and are closed when the endpoint is unregistered", async () => {
    const entry = await register("nse");
    expect(entry.url).toBe(`unix://${sockets.folder}/nse`);
    const { nse: url } = await find();
    expect(url).toMatch(OWN);
    expect(await answerAt(url!)).toBe("nse");
    await endpoints.register(ctx, entry);
    expect(await find()).toEqual({ nse: url });
    expect(await find(ctx.with(bypassCache, true))).toEqual({ nse: url });
    await endpoints.unregister(ctx, entry);
    await expect.poll(() => found.debugState()).toEqual({});
    expect(manager.debugState()).toEqual({});
    await expect(answerAt(url!)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("stay reachable at the same URL while the manager is away, and when it is back", async () => {
    await register("nse");
    const { nse: url } = await find();
    await expect.poll(() => find(ctx.with(cachedOnly, true))).toEqual({ nse: url });
    await server.close();
    expect(await answerAt(url!)).toBe("nse");
    expect(await find()).toEqual({ nse: url });
    await startManager();
    await expect.poll(() => find(ctx.with(bypassCache, true)), { timeout: 20_000 }).toEqual({ nse: url });
  });

  test("all arrive if there are more than a connection keeps", { timeout: 60_000 }, async () => {
    const names = Array.from({ length: 300 }, (_, i) => `nse-${i}`);
    for (const name of names) await register(name);
    const urls = await find();
    expect(Object.keys(urls).sort()).toEqual([...names].sort());
    for (const name of names) expect(await answerAt(urls[name]!)).toBe(name);
  });
});
