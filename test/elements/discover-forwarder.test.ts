import { describe, expect, test } from "vitest";
import { PathSegment, State, type NetworkServiceEndpoint } from "../../src/api/index.js";
import { Code, NsmError, remoteUrl } from "../../src/core/index.js";
import { connectionState } from "../../src/elements/connection-state/index.js";
import { type Labels } from "../../src/registry/index.js";
import { beginServer } from "../../src/elements/begin/index.js";
import { discoverForwarder } from "../../src/elements/discover-forwarder/index.js";
import { updatePath } from "../../src/elements/update-path/index.js";
import { checkContext, describeElement, run, sampleConnection } from "../../src/testing/index.js";
import { registries, service, endpoint, type Registries } from "./support/registries.js";

const url = "tcp://nsmgr";
const forwarder = (name: string, labels?: Labels): NetworkServiceEndpoint => ({
  ...endpoint(name, { of: "forwarder", ...(labels ? { labels } : {}) }),
  url: `${url}/${name}`,
});

describeElement("discover-forwarder", () =>
  discoverForwarder({ ...registries([service("icmp")], [forwarder("f")]), url }),
);

describe("discover-forwarder", () => {
  /** A manager's chain. `tried` lists the called forwarders in order, `down` those that reject. */
  function manager(known: Registries, withoutUrl = () => {}) {
    const tried: string[] = [];
    const closed: (string | undefined)[] = [];
    const down = new Map<string, Code>();
    const forward = checkContext((ctx, method) => {
      const name = ctx.get(remoteUrl)?.slice(url.length + 1);
      if (method === "close") {
        closed.push(name);
        return name === undefined ? withoutUrl() : undefined;
      }
      tried.push(name!);
      const code = down.get(name!);
      if (code !== undefined) throw new NsmError(code, `${name} refuses`);
    });
    const elements = [
      updatePath({ name: "nsmgr" }),
      beginServer(),
      connectionState(),
      discoverForwarder({ ...known, url }),
      forward,
    ];
    return { tried, closed, down, ...run(elements) };
  }
  const many = (n: number) => Array.from({ length: n }, (_, i) => forwarder(`f${i}`));

  /** The connection of a returning client, with the next hop in its path. */
  function pathVia(name: string, now: number) {
    const { path } = sampleConnection(now);
    return {
      path: {
        index: 0,
        pathSegments: [
          ...path!.pathSegments,
          PathSegment.create({ name: "nsmgr", id: "m" }),
          PathSegment.create({ name, id: "f" }),
        ],
      },
    };
  }

  test("selects by the labels that the service's match requires of a forwarder", async () => {
    const fwds = [forwarder("p2p", { p2p: "true" }), forwarder("p2mp", { p2mp: "true" }), forwarder("bare")];
    const wantsP2mp = manager(
      registries([service("icmp", { metadata: { labels: { p2mp: "true" } } })], fwds),
    );
    await wantsP2mp.request();
    expect(wantsP2mp.tried).toEqual(["p2mp"]);

    const withoutPreference = manager(registries([service("icmp", { metadata: {} })], fwds));
    await withoutPreference.request();
    expect(withoutPreference.tried).toEqual(["p2p"]);
  });

  test("accepts any forwarder for a service without matches", async () => {
    const { request, tried } = manager(registries([service("icmp")], [forwarder("bare")]));
    await request();
    expect(tried).toEqual(["bare"]);
  });

  test("calls only forwarders that are registered through this manager and not expired", async () => {
    const { clock } = run([]);
    const foreign = { ...forwarder("foreign"), url: "tcp://other-nsmgr/foreign" };
    const expired = {
      ...forwarder("expired"),
      expirationTime: { seconds: clock.now() / 1000 - 1, nanos: 0 },
    };
    const { request, tried } = manager(registries([service("icmp")], [foreign, expired, forwarder("own")]));
    await request();
    expect(tried).toEqual(["own"]);
  });

  test("tries all forwarders within one request", async () => {
    const { request, tried, down } = manager(registries([service("icmp")], many(10)));
    for (let i = 0; i < 5; i++) down.set(`f${i}`, Code.Unavailable);
    await request();
    expect(tried).toEqual(["f0", "f1", "f2", "f3", "f4", "f5"]);
  });

  test("uses only the selected forwarder on refresh", async () => {
    const { request, refresh, tried, down } = manager(registries([service("icmp")], many(3)));
    await request();
    await refresh();
    down.set("f0", Code.Internal);
    await expect(refresh()).rejects.toMatchObject({ code: Code.Internal, message: "f0 refuses" });
    expect(tried).toEqual(["f0", "f0", "f0"]);
  });

  test("a new connection after a Close may use another", async () => {
    const { request, close, tried, closed } = manager(registries([service("icmp")], many(2)));
    await request();
    await close();
    await request();
    expect(tried).toEqual(["f0", "f1"]);
    expect(closed).toEqual(["f0"]);
  });

  test("a reselect uses another forwarder, even if the current one is registered", async () => {
    const { request, refresh, tried } = manager(registries([service("icmp")], many(2)));
    const { clock } = run([]);
    await request(pathVia("f1", clock.now()));
    await refresh({ state: State.RESELECT_REQUESTED });
    expect(tried).toEqual(["f1", "f0"]);
  });

  test("a reselect returns to the current forwarder if there is no other", async () => {
    const { request, refresh, tried } = manager(registries([service("icmp")], many(1)));
    await request();
    await refresh({ state: State.RESELECT_REQUESTED });
    expect(tried).toEqual(["f0", "f0"]);
  });

  test("after a restart of the manager a refresh goes to the forwarder in the path", async () => {
    for (let round = 0; round < 10; round++) {
      const { request, tried, clock } = manager(registries([service("icmp")], many(round + 3)));
      await request(pathVia("f2", clock.now()));
      expect(tried).toEqual(["f2"]);
    }
  });

  test("a refresh and a Close go to the selected forwarder during any failure of the registry", async () => {
    const known = registries([service("icmp")], many(1));
    const { request, refresh, close, tried, closed, leftovers } = manager(known);
    await request();
    known.known.pop();
    await refresh();
    known.fail(new NsmError(Code.Unavailable, "registry down"));
    await refresh();
    await close();
    expect(tried).toEqual(["f0", "f0", "f0"]);
    expect(closed).toEqual(["f0"]);
    expect(leftovers()).toEqual({});
  });

  test("if the selected forwarder is gone, a refresh reports it and a reselect finds another", async () => {
    const known = registries([service("icmp")], many(2));
    const { request, refresh, tried, down } = manager(known);
    await request();
    known.known.shift();
    down.set("f0", Code.Unavailable);
    await expect(refresh()).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'forwarder "f0", which carries the connection, is no longer registered',
    });
    await refresh({ state: State.RESELECT_REQUESTED });
    expect(tried).toEqual(["f0", "f0", "f1"]);
  });

  test("if the selected forwarder restarted at another address, a refresh follows it", async () => {
    const known = registries([service("icmp")], many(1));
    const { request, refresh, tried } = manager(known);
    await request();
    known.known[0] = { ...forwarder("f0"), url: `${url}/f0-again` };
    await refresh();
    expect(tried).toEqual(["f0", "f0-again"]);
  });

  test("no forwarder, or no such service, is NOT_FOUND", async () => {
    const { request } = manager(registries([service("icmp", {})], [forwarder("bare")]));
    await expect(request()).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'no forwarder matches network service "icmp": 1 registered',
    });
    await expect(request({ networkService: "unknown" })).rejects.toMatchObject({
      code: Code.NotFound,
      message: 'network service "unknown" is not registered',
    });
  });

  test("if all fail with one code, the error has it, otherwise UNAVAILABLE", async () => {
    const { request, down } = manager(registries([service("icmp")], many(2)));
    down.set("f0", Code.ResourceExhausted).set("f1", Code.ResourceExhausted);
    await expect(request()).rejects.toMatchObject({
      code: Code.ResourceExhausted,
      message: "all 2 forwarders rejected the connection",
    });
    down.set("f1", Code.NotFound);
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("a service that changes its requirements gets another forwarder after a Close", async () => {
    const known = registries(
      [service("icmp", { metadata: { labels: { p2mp: "true" } } })],
      [forwarder("p2p", { p2p: "true" }), forwarder("p2mp", { p2mp: "true" })],
    );
    const { request, close, tried } = manager(known);
    await request();
    await close();
    known.services[0] = service("icmp", {});
    await request();
    expect(tried).toEqual(["p2mp", "p2p"]);
  });

  test("a Close of a connection from before a restart is UNAVAILABLE until its forwarder is registered again", async () => {
    const known = registries([service("icmp")], []);
    const { close, closed, clock } = manager(known, () => {
      throw new NsmError(Code.NotFound, "no remote");
    });
    const connection = sampleConnection(clock.now(), pathVia("f1", clock.now()));
    await expect(close(connection)).rejects.toMatchObject({
      code: Code.Unavailable,
      message: 'forwarder "f1", which carries the connection, is not registered here',
    });
    known.known.push(forwarder("f1"));
    await close(connection);
    expect(closed).toEqual([undefined, "f1"]);
  });

  test("a Close of an unknown connection goes to the forwarder in its path", async () => {
    const { close, closed, clock } = manager(registries([service("icmp")], many(2)));
    await close(sampleConnection(clock.now(), pathVia("f1", clock.now())));
    expect(closed).toEqual(["f1"]);
  });
});
