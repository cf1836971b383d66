import { Observable, of } from "rxjs";
import { describe, expect, test } from "vitest";
import { PathSegment } from "../../../src/api/index.js";
import { Code, Context, NsmError, remoteUrl, type EndpointRegistry } from "../../../src/core/index.js";
import { cachedOnly } from "../../../src/registry/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { candidates, discover } from "../../../src/elements/discover/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { checkContext, describeElement, recorder, run } from "../../../src/testing/index.js";
import { endpoint, registries, service, type Registries } from "../support/registries.js";

describeElement("discover", () => discover(registries([service("icmp")], [endpoint("nse")])), {
  request: (sample) => ({ ...sample, connection: { ...sample.connection!, payload: "" } }),
});

describe("discover", () => {
  function bench(known: Registries) {
    const found: { url: string | undefined; names: string[] | undefined }[] = [];
    /** URLs that do not answer. */
    const dead = new Set<string>();
    const recordUrl = checkContext((ctx) => {
      const url = ctx.get(remoteUrl);
      found.push({ url, names: ctx.get(candidates)?.map(({ name }) => name) });
      if (url !== undefined && dead.has(url)) throw new NsmError(Code.Unavailable, `nobody at ${url}`);
    });
    const seen = recorder();
    const before = [updatePath({ name: "forwarder" }), beginServer(), connectionState()];
    return { found, seen, dead, ...run([before, discover(known), recordUrl, seen]) };
  }
  const urls = (found: readonly { url: string | undefined }[]) => found.map(({ url }) => url);
  const icmp = { networkService: "icmp", payload: "" };

  test("sets the URL of a named endpoint", async () => {
    const { found, request } = bench(registries([], [endpoint("nse-1"), endpoint("nse-2")]));
    await request({ networkServiceEndpointName: "nse-2" });
    expect(found).toEqual([{ url: "tcp://nse-2", names: undefined }]);
  });

  test("a named endpoint that is not registered is NOT_FOUND, despite similar names", async () => {
    const { found, request } = bench(registries([service("icmp")], [endpoint("nse-wrong")]));
    await expect(request({ networkServiceEndpointName: "nse" })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'endpoint "nse" is not registered',
    });
    expect(found).toEqual([]);
  });

  test("sets the endpoints of a service as candidates, and its payload", async () => {
    const known = registries(
      [service("icmp")],
      [endpoint("a"), endpoint("x", { of: "other" }), endpoint("b")],
    );
    const { found, seen, request } = bench(known);
    await request(icmp);
    expect(found).toEqual([{ url: undefined, names: ["a", "b"] }]);
    expect(seen.requests[0]!.connection!.payload).toBe("IP");
  });

  test("the service's matches select by the client's labels", async () => {
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

  test("endpoints with an expired registration are not candidates", async () => {
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

  test("accepts only exact names and no deleted entries, whatever a registry answers", async () => {
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

  test("an unknown service, or one with another payload, is NOT_FOUND", async () => {
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

  test("without a matching endpoint it is NOT_FOUND at once, with the query in the message", async () => {
    const { request } = bench(
      registries([service("icmp", { routes: [{ destinationSelector: { a: "1" } }] })], [endpoint("a")]),
    );
    await expect(request({ ...icmp, labels: { b: "2" } })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'no endpoint of network service "icmp" matches: 1 registered, labels {"b":"2"}',
    });
  });

  test("a URL in the Context decides", async () => {
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

  test("a request fails with the failure of the registry", async () => {
    const known = registries();
    known.fail(new NsmError(Code.Unavailable, "registry down"));
    await expect(bench(known).request(icmp)).rejects.toMatchObject({
      code: Code.Unavailable,
      message: "registry down",
    });
  });

  test("a Close of a connection from before a restart uses the endpoint's URL if it is registered", async () => {
    const known = registries([], [endpoint("nse-1")]);
    const { request } = bench(known);
    const connection = await request({ networkServiceEndpointName: "nse-1" });
    const path = {
      ...connection.path!,
      index: 0,
      pathSegments: [...connection.path!.pathSegments, hop("nse-1")],
    };
    const { found, close, clock } = bench(known);
    await close({ ...connection, path });
    await close({ ...connection, path, networkServiceEndpointName: "gone" });
    await close({ ...connection, path, networkServiceEndpointName: "" });
    known.fail(new NsmError(Code.Unavailable, "registry down"));
    await close({ ...connection, path });
    expect(urls(found)).toEqual(["tcp://nse-1", undefined, undefined, undefined]);
    expect(clock.timers).toBe(0);
  });

  test("a refresh and a Close go to the endpoint of the connection during any failure of the registry", async () => {
    const known = registries([service("icmp")], [endpoint("nse-1")]);
    const { found, refresh, close, request, leftovers } = bench(known);
    const first = await request({ ...icmp, networkServiceEndpointName: "nse-1" });
    known.known.pop();
    await refresh();
    known.fail(new NsmError(Code.Unavailable, "registry down"));
    await close(await refresh(first));
    expect(urls(found)).toEqual(Array(4).fill("tcp://nse-1"));
    expect(leftovers()).toEqual({});
  });

  test("an unreachable endpoint is looked up again, and called at its new URL", async () => {
    const known = registries([], [endpoint("nse-1")]);
    const silent = { ...known, endpoints: onlyUncached(known.endpoints) };
    const { found, dead, refresh, close, request } = bench(silent);
    await request({ networkServiceEndpointName: "nse-1" });
    dead.add("tcp://nse-1");
    await expect(refresh()).rejects.toMatchObject({ message: "nobody at tcp://nse-1" });
    known.known[0] = { ...endpoint("nse-1"), url: "tcp://moved" };
    await refresh();
    known.known[0] = { ...endpoint("nse-1"), url: "tcp://again" };
    dead.add("tcp://moved");
    await close();
    expect(urls(found)).toEqual(
      ["1", "1", "1", "moved", "moved", "again"].map((at) => `tcp://${at === "1" ? "nse-1" : at}`),
    );
  });

  test("a refresh follows an endpoint at once if a cache has its new URL", async () => {
    const known = registries([], [endpoint("nse-1")]);
    const { found, refresh, request } = bench(known);
    await request({ networkServiceEndpointName: "nse-1" });
    known.known[0] = { ...endpoint("nse-1"), url: "tcp://moved" };
    await refresh();
    expect(urls(found)).toEqual(["tcp://nse-1", "tcp://moved"]);
  });

  test("an endpoint that is unreachable and no longer registered is NOT_FOUND, for a refresh and for a Close", async () => {
    const known = registries([], [endpoint("nse-1")]);
    const { dead, refresh, close, request } = bench(known);
    await request({ networkServiceEndpointName: "nse-1" });
    known.known.pop();
    dead.add("tcp://nse-1");
    const gone = { code: Code.NotFound, message: 'endpoint "nse-1" is not registered' };
    await expect(refresh()).rejects.toMatchObject(gone);
    await expect(close()).rejects.toMatchObject(gone);
  });

  test("a registry that does not answer delays a refresh by at most half a second", async () => {
    const known = registries([], [endpoint("nse-1")]);
    let silent = false;
    const endpoints: EndpointRegistry = {
      ...known.endpoints,
      find: (ctx, query) => (silent ? unanswered(ctx) : known.endpoints.find(ctx, query)),
    };
    const { found, clock, refresh, request } = bench({ ...known, endpoints });
    await request({ networkServiceEndpointName: "nse-1" });
    silent = true;
    const refreshed = refresh();
    await clock.advance(500);
    await refreshed;
    expect(urls(found)).toEqual(["tcp://nse-1", "tcp://nse-1"]);
    expect(clock.timers).toBe(0);
  });
});

/** A registry behind an empty cache. */
function onlyUncached(endpoints: EndpointRegistry): EndpointRegistry {
  return { ...endpoints, find: (ctx, query) => (ctx.get(cachedOnly) ? of() : endpoints.find(ctx, query)) };
}

/** Does not answer before the call ends. */
function unanswered(ctx: Context): Observable<never> {
  return new Observable((subscriber) => {
    ctx.signal.addEventListener("abort", () => subscriber.error(ctx.signal.reason));
  });
}

function hop(name: string): PathSegment {
  return PathSegment.create({ name, id: name });
}
