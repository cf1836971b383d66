import { firstValueFrom } from "rxjs";
import { afterEach, describe, expect, test } from "vitest";
import { nsmgr } from "../../src/chains/nsmgr/index.js";
import { forwarder } from "../../src/chains/forwarder/index.js";
import { nsmgrRegistry, registry } from "../../src/chains/registry/index.js";
import {
  connectionOf,
  NetworkServiceEndpoint,
  NetworkServiceEntry,
  patchConnection,
  patchIpContext,
  Payload,
} from "../../src/api/index.js";
import { Code, Context, NsmError, remoteUrl, type NetworkServiceElement } from "../../src/core/index.js";
import { candidates } from "../../src/elements/discover/index.js";
import { insecureTokens } from "../../src/identity/index.js";
import { mesh, type Mesh } from "../../src/testing/index.js";

let net: Mesh | undefined;
afterEach(async () => {
  await net?.stop();
  net = undefined;
});

/** Tries the endpoint whose name comes last in the alphabet. */
function lastByName(): NetworkServiceElement {
  return {
    name: "last-by-name",
    request: (ctx, request, next) => {
      const found = ctx.get(candidates);
      if (!found) return next.request(ctx, request);
      const { name, url } = [...found].sort((a, b) => a.name.localeCompare(b.name)).at(-1)!;
      return next.request(
        ctx.with(remoteUrl, url),
        patchConnection(request, { networkServiceEndpointName: name }),
      );
    },
  };
}

/** Records its name and the service of each Request. */
function recordCalls(name: string, seen: string[]): NetworkServiceElement {
  return {
    name,
    request: (ctx, request, next) => {
      seen.push(`${name} ${connectionOf(request).networkService}`);
      return next.request(ctx, request);
    },
  };
}

/** The entry of an endpoint in the domain's registry. */
async function registered(
  { registry: { url }, clock, virtual }: Mesh,
  name: string,
): Promise<NetworkServiceEndpoint | undefined> {
  const { endpoints } = virtual!.network.remotes({ name: "reader", tokens: insecureTokens() }).to(url);
  const query = { networkServiceEndpoint: NetworkServiceEndpoint.create({ name }), watch: false };
  return (await firstValueFrom(endpoints.find(Context.background({ clock }), query))).networkServiceEndpoint;
}

describe("your own elements", () => {
  test("replace the round-robin of a forwarder in one line", async () => {
    net = await mesh({ transport: "memory", forwarder: { replace: { "round-robin": [lastByName()] } } });
    for (const name of ["nse-a", "nse-z", "nse-b"]) await net.endpoint({ name, service: "firewall" });
    for (const name of ["nsc-1", "nsc-2", "nsc-3"]) {
      const connection = await net.client({ name }).request("firewall");
      expect(connection.networkServiceEndpointName).toBe("nse-z");
    }
  });

  test("choose the forwarder of a manager in one line", async () => {
    net = await mesh({
      transport: "memory",
      nsmgr: { chooseForwarder: (found) => found.filter(({ name }) => name === "forwarder-2") },
    });
    await net.addForwarder("forwarder-2");
    await net.endpoint({ name: "nse-1", service: "firewall" });
    for (const name of ["nsc-1", "nsc-2"]) {
      const { path } = await net.client({ name }).request("firewall");
      expect(path?.pathSegments.map((segment) => segment.name)).toEqual([
        name,
        "nsmgr",
        "forwarder-2",
        "nse-1",
      ]);
    }
  });

  test("allocate the addresses of an endpoint", async () => {
    const ipam: NetworkServiceElement = {
      name: "fixed-ipam",
      request: (ctx, request, next) => {
        const addresses = { srcIpAddrs: ["192.0.2.1/32"], dstIpAddrs: ["192.0.2.2/32"] };
        return next.request(ctx, {
          ...request,
          connection: patchIpContext(connectionOf(request), () => addresses),
        });
      },
    };
    net = await mesh({ transport: "memory" });
    await net.endpoint({ name: "nse-1", service: "firewall", ipam: [ipam] });
    const { context } = await net.client().request("firewall");
    expect(context?.ipContext).toMatchObject({ srcIpAddrs: ["192.0.2.1/32"], dstIpAddrs: ["192.0.2.2/32"] });
  });

  test("stand at the named places of manager and forwarder, in order", async () => {
    const seen: string[] = [];
    const at = (name: string) => ({
      elements: {
        beforeDiscovery: [recordCalls(`${name}/discovery`, seen)],
        beforeConnect: [recordCalls(`${name}/connect`, seen)],
      },
    });
    net = await mesh({ transport: "memory", nsmgr: at("nsmgr"), forwarder: at("forwarder") });
    await net.endpoint({ name: "nse-1", service: "firewall" });
    await net.client().request("firewall");
    expect(seen).toEqual(
      ["nsmgr/discovery", "nsmgr/connect", "forwarder/discovery", "forwarder/connect"].map(
        (name) => `${name} firewall`,
      ),
    );
  });

  test("stand in front of the stores of a registry", async () => {
    net = await mesh({
      transport: "memory",
      registry: {
        elements: {
          endpoints: [
            {
              name: "no-nse-2",
              register: async (ctx, entry, next) => {
                if (entry.name === "nse-2") throw new NsmError(Code.PermissionDenied, "not nse-2");
                return next.register(ctx, entry);
              },
            },
          ],
        },
      },
    });
    await net.endpoint({ name: "nse-1", service: "firewall" });
    await expect(net.endpoint({ name: "nse-2", service: "firewall" })).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
  });

  test("stand in the registry of a manager, before the domain's registry and in place of built-in ones", async () => {
    const services: string[] = [];
    net = await mesh({
      transport: "memory",
      nsmgr: {
        registry: {
          elements: {
            networkServices: [
              {
                name: "note-services",
                register: (ctx, entry, next) => {
                  services.push(entry.name);
                  return next.register(ctx, entry);
                },
              },
            ],
            endpoints: [
              {
                name: "no-nse-2",
                register: async (ctx, entry, next) => {
                  if (entry.name === "nse-2") throw new NsmError(Code.PermissionDenied, "not nse-2");
                  return next.register(ctx, entry);
                },
              },
            ],
          },
          replace: {
            "client-info": [
              {
                name: "zone",
                register: (ctx, entry, next) => {
                  const { firewall } = entry.networkServiceLabels;
                  const labels = { ...firewall?.labels, zone: "blue" };
                  return next.register(ctx, { ...entry, networkServiceLabels: { firewall: { labels } } });
                },
              },
            ],
          },
        },
      },
    });
    await net.endpoint({ name: "nse-1", service: "firewall" });
    expect(services).toContain("firewall");
    await expect(net.endpoint({ name: "nse-2", service: "firewall" })).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
    const entry = await registered(net, "nse-1");
    expect(entry?.networkServiceLabels).toMatchObject({ firewall: { labels: { zone: "blue" } } });
    expect((await net.client().request("firewall")).networkServiceEndpointName).toBe("nse-1");
  });

  test("set the payloads of a manager with its own registry", async () => {
    const until = new AbortController();
    const { networkServices, debugState } = nsmgrRegistry({
      url: "tcp://nsmgr:1",
      tokens: insecureTokens(),
      until: until.signal,
      replace: {
        "set-payload": [
          {
            name: "ip-only",
            register: (ctx, entry, next) => next.register(ctx, { ...entry, payload: Payload.Ip }),
          },
        ],
      },
    });
    const entry = NetworkServiceEntry.create({ name: "firewall" });
    expect(await networkServices.register(Context.background(), entry)).toMatchObject({ payload: "IP" });
    until.abort();
    expect(debugState()).not.toHaveProperty("endpoints");
  });
});

describe("a name that does not exist", () => {
  const own = {
    name: "x",
    url: "tcp://x:1",
    tokens: insecureTokens(),
    until: new AbortController().signal,
    remotes: {} as never,
    networkServices: {} as never,
    endpoints: {} as never,
  };
  const wrong = { "round-robbin": [] } as object;

  test.each([
    [
      "manager",
      () => nsmgr({ ...own, replace: wrong }),
      '"client-info", "discover-forwarder", "excluded-prefixes"',
    ],
    [
      "forwarder",
      () => forwarder({ ...own, replace: wrong }),
      '"discover", "round-robin", "mechanism-translation"',
    ],
    [
      "registry",
      () => registry({ ...own, replace: wrong }),
      '"set-payload", "set-registration-time", "expire"',
    ],
    [
      "manager's registry",
      () => nsmgrRegistry({ ...own, replace: wrong }),
      '"set-payload", "client-info", "expire", "local-bypass"',
    ],
  ])("to replace in a %s is rejected with the names that do", (chain, make, names) => {
    expect(make).toThrow(`a ${chain} has no element to replace named "round-robbin": the names are ${names}`);
  });

  test.each([
    ["manager", () => nsmgr({ ...own, elements: wrong }), '"beforeDiscovery", "beforeConnect"'],
    ["forwarder", () => forwarder({ ...own, elements: wrong }), '"beforeDiscovery", "beforeConnect"'],
    ["registry", () => registry({ ...own, elements: wrong }), '"networkServices", "endpoints"'],
    [
      "manager's registry",
      () => nsmgrRegistry({ ...own, elements: wrong }),
      '"networkServices", "endpoints"',
    ],
  ])("of a place in a %s is rejected with the names that do", (chain, make, names) => {
    expect(make).toThrow(`a ${chain} has no place named "round-robbin": the names are ${names}`);
  });
});
