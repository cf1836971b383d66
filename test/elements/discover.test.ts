import { of } from "rxjs";
import { describe, expect, test } from "vitest";
import { Code, NsmError, remoteUrl } from "nsm-sdk/core";
import { candidates, discover } from "nsm-sdk/elements/discover";
import { checkContext, describeElement, recorder, run } from "nsm-sdk/testing";
import { endpoint, registries, service, type Registries } from "./support/registries.js";

describeElement("discover", () => discover(registries([service("icmp")], [endpoint("nse")])), {
  request: (sample) => ({ ...sample, connection: { ...sample.connection!, payload: "" } }),
});

describe("discover", () => {
  function bench(known: Registries) {
    const found: { url: string | undefined; names: string[] | undefined }[] = [];
    const look = checkContext((ctx) => {
      found.push({ url: ctx.get(remoteUrl), names: ctx.get(candidates)?.map(({ name }) => name) });
    });
    const seen = recorder();
    return { found, seen, ...run([discover(known), look, seen]) };
  }
  const icmp = { networkService: "icmp", payload: "" };

  test("a named endpoint gives its URL", async () => {
    const { found, request } = bench(registries([], [endpoint("nse-1"), endpoint("nse-2")]));
    await request({ networkServiceEndpointName: "nse-2" });
    expect(found).toEqual([{ url: "tcp://nse-2", names: undefined }]);
  });

  test("a named endpoint that is not registered is NOT_FOUND, whatever has a similar name", async () => {
    const { found, request } = bench(registries([service("icmp")], [endpoint("nse-wrong")]));
    await expect(request({ networkServiceEndpointName: "nse" })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'endpoint "nse" is not registered',
    });
    expect(found).toEqual([]);
  });

  test("a service gives its endpoints as candidates, and its payload", async () => {
    const known = registries(
      [service("icmp")],
      [endpoint("a"), endpoint("x", { of: "other" }), endpoint("b")],
    );
    const { found, seen, request } = bench(known);
    await request(icmp);
    expect(found).toEqual([{ url: undefined, names: ["a", "b"] }]);
    expect(seen.requests[0]!.connection!.payload).toBe("IP");
  });

  test("the service's matches choose by the client's labels", async () => {
    const matches = [
      { sourceSelector: { app: "firewall" }, routes: [{ destinationSelector: { app: "gateway" } }] },
      { routes: [{ destinationSelector: { app: "firewall" } }] },
    ];
    const nses = [
      endpoint("fw", { labels: { app: "firewall" } }),
      endpoint("gw", { labels: { app: "gateway" } }),
    ];
    const { found, request } = bench(registries([service("icmp", ...matches)], nses));
    await request({ ...icmp, labels: { app: "firewall" } });
    await request(icmp);
    expect(found.map(({ names }) => names)).toEqual([["gw"], ["fw"]]);
  });

  test("endpoints whose registration has expired are no candidates", async () => {
    const { clock } = run([]);
    const nses = [
      endpoint("gone", { expires: clock.now() - 1_000 }),
      endpoint("there", { expires: clock.now() + 1_000 }),
      endpoint("forever"),
    ];
    const { found, request } = bench(registries([service("icmp")], nses));
    await request(icmp);
    expect(found[0]!.names).toEqual(["there", "forever"]);
  });

  test("takes exact names only, and nothing that was deleted, whatever a registry answers", async () => {
    const known = registries();
    const all = {
      ...known,
      networkServices: {
        ...known.networkServices,
        find: () =>
          of(
            { networkService: service("icmp-wrong"), deleted: false },
            { networkService: service("icmp"), deleted: true },
          ),
      },
      endpoints: {
        ...known.endpoints,
        find: () =>
          of(
            { networkServiceEndpoint: endpoint("nse-wrong"), deleted: false },
            { networkServiceEndpoint: endpoint("nse"), deleted: true },
          ),
      },
    };
    const { request } = bench(all);
    await expect(request(icmp)).rejects.toMatchObject({ code: Code.NotFound });
    await expect(request({ networkServiceEndpointName: "nse" })).rejects.toMatchObject({
      code: Code.NotFound,
    });
  });

  test("an unknown service, or one of another payload, is NOT_FOUND", async () => {
    const { request } = bench(registries([service("icmp-wrong"), service("icmp")], [endpoint("a")]));
    await expect(request({ networkService: "icm", payload: "" })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'network service "icm" is not registered',
    });
    await expect(request({ networkService: "icmp", payload: "ETHERNET" })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'network service "icmp" with payload ETHERNET is not registered',
    });
  });

  test("without a fitting endpoint it is NOT_FOUND at once, with what was looked for", async () => {
    const { request } = bench(
      registries([service("icmp", { routes: [{ destinationSelector: { a: "1" } }] })], [endpoint("a")]),
    );
    await expect(request({ ...icmp, labels: { b: "2" } })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'no endpoint of network service "icmp" fits: 1 registered, labels {"b":"2"}',
    });
  });

  test("a URL that is there decides", async () => {
    const known = registries();
    known.fail(new Error("must not be asked"));
    const { ctx, found, request, close } = bench(known);
    const to = ctx.with(remoteUrl, "tcp://a");
    await close(await request({}, to), to);
    expect(found).toEqual([
      { url: "tcp://a", names: undefined },
      { url: "tcp://a", names: undefined },
    ]);
  });

  test("a registry that fails is what the request fails with", async () => {
    const known = registries();
    known.fail(new NsmError(Code.Unavailable, "registry down"));
    await expect(bench(known).request(icmp)).rejects.toMatchObject({
      code: Code.Unavailable,
      message: "registry down",
    });
  });

  test("close goes on with the endpoint's URL if it is known, and without one otherwise", async () => {
    const known = registries([], [endpoint("nse-1")]);
    const { found, close, clock, request } = bench(known);
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    await close(connection);
    await close({ ...connection, networkServiceEndpointName: "gone" });
    await close({ ...connection, networkServiceEndpointName: "" });
    known.fail(new NsmError(Code.Unavailable, "registry down"));
    await close(connection);
    expect(found.slice(1).map(({ url }) => url)).toEqual(["tcp://nse-1", undefined, undefined, undefined]);
    expect(clock.timers).toBe(0);
  });
});
