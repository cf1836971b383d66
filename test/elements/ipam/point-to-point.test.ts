import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IPContext, type Connection, type Route } from "../../../src/api/index.js";
import { Code } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { pointToPointIpam } from "../../../src/elements/ipam/point-to-point/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import {
  describeElement,
  failOnce,
  failAfter,
  hold,
  run,
  sampleRequest,
} from "../../../src/testing/index.js";

const prefixes = ["172.16.0.0/24"];

describeElement("ipam/point-to-point", () => pointToPointIpam({ prefixes }));

/** An endpoint's chain up to the IPAM, and later elements. */
function endpoint(...elements: Parameters<typeof run>[0]) {
  const bench = run([updatePath({ name: "nse" }), beginServer(), connectionState(), ...elements]);
  const sendRequest = (id: string, ip: Partial<IPContext> = {}): Promise<Connection> => {
    const request = sampleRequest(bench.clock.now(), { id, context: withIp(ip) });
    return bench.send(request);
  };
  return { ...bench, sendRequest };
}

function withIp(ip: Partial<IPContext>): Connection["context"] {
  return {
    ipContext: IPContext.create(ip),
    dnsContext: undefined,
    ethernetContext: undefined,
    extraContext: {},
    MTU: 0,
  };
}

/** `.1 .0` for client and endpoint. */
function ends({ context }: Connection): string {
  const { srcIpAddrs, dstIpAddrs } = context!.ipContext!;
  return `${srcIpAddrs.join()} ${dstIpAddrs.join()}`;
}

const route = (prefix: string): Route => ({ prefix, nextHop: "" });
const routed = (routes: readonly Route[]): string[] => routes.map(({ prefix, nextHop }) => prefix + nextHop);

describe("ipam/point-to-point", () => {
  test("the endpoint has the lower address, the client the next, each with a route to the other", async () => {
    const { sendRequest, close, leftovers } = endpoint(pointToPointIpam({ prefixes: ["172.16.1.100/31"] }));
    const { context } = await sendRequest("a");
    expect(context!.ipContext).toMatchObject({
      srcIpAddrs: ["172.16.1.101/32"],
      dstIpAddrs: ["172.16.1.100/32"],
      srcRoutes: [route("172.16.1.100/32")],
      dstRoutes: [route("172.16.1.101/32")],
    });
    await close();
    expect(leftovers()).toEqual({});
  });

  test.each([
    ["IPv4", "172.16.0.0/24", (n: number) => `172.16.0.${n}/32`],
    ["IPv6", "fe80::/64", (n: number) => `fe80::${n || ""}/128`],
  ])("%s pairs are allocated in order, and released ones first", async (_family, prefix, host) => {
    const { sendRequest, close } = endpoint(pointToPointIpam({ prefixes: [prefix] }));
    const pair = (n: number) => `${host(n + 1)} ${host(n)}`;
    const first = await sendRequest("a");
    expect([ends(first), ends(await sendRequest("b"))]).toEqual([pair(0), pair(2)]);
    await close(first);
    expect([ends(await sendRequest("c")), ends(await sendRequest("d"))]).toEqual([pair(0), pair(4)]);
  });

  test("skips excluded addresses before, between and after others", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes: ["192.168.0.0/28"] }));
    const excludedPrefixes = ["192.168.0.0/32", "192.168.0.2/32", "192.168.0.4/30", "10.0.0.0/8", "fd00::/8"];
    expect(ends(await sendRequest("a", { excludedPrefixes }))).toBe("192.168.0.3/32 192.168.0.1/32");
    expect(ends(await sendRequest("b", { excludedPrefixes }))).toBe("192.168.0.9/32 192.168.0.8/32");
    expect(ends(await sendRequest("c"))).toBe("192.168.0.2/32 192.168.0.0/32");
  });

  test("keeps addresses that other elements of the chain add to the context", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes, others: ["10.0.0.0/24"] }));
    const { context } = await sendRequest("a", {
      srcIpAddrs: ["10.0.0.1/24"],
      srcRoutes: [{ prefix: "10.1.0.0/16", nextHop: "10.0.0.9" }],
      excludedPrefixes: ["10.0.0.0/8"],
    });
    expect(context!.ipContext).toMatchObject({
      srcIpAddrs: ["10.0.0.1/24", "172.16.0.1/32"],
      srcRoutes: [{ prefix: "10.1.0.0/16", nextHop: "10.0.0.9" }, route("172.16.0.0/32")],
      excludedPrefixes: ["10.0.0.0/8"],
    });
  });

  test("removes the addresses of an earlier endpoint, with the routes to and through them, and keeps the rest", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes }));
    const { context } = await sendRequest("a", {
      srcIpAddrs: ["10.0.0.1/32", "fd00::1/128"],
      dstIpAddrs: ["10.0.0.0/32", "fd00::/128"],
      srcRoutes: [
        route("10.0.0.0/32"),
        route("fd00::/128"),
        { prefix: "10.7.0.0/16", nextHop: "10.0.0.0" },
        { prefix: "10.8.0.0/16", nextHop: "10.9.9.9" },
        route("0.0.0.0/0"),
      ],
      dstRoutes: [route("10.0.0.1/32"), route("fd00::1/128")],
      excludedPrefixes: ["10.0.0.0/8"],
    });
    expect(context!.ipContext).toMatchObject({
      srcIpAddrs: ["172.16.0.1/32"],
      dstIpAddrs: ["172.16.0.0/32"],
      srcRoutes: [{ prefix: "10.8.0.0/16", nextHop: "10.9.9.9" }, route("0.0.0.0/0"), route("172.16.0.0/32")],
      dstRoutes: [route("172.16.0.1/32")],
      excludedPrefixes: ["10.0.0.0/8"],
    });
  });

  test.each([
    ["172.16.0.0/31", "172.16.0.0/31"],
    ["fe80::/127", "fe80::/127"],
  ])("%s has one pair, and is then exhausted", async (prefix, named) => {
    const { sendRequest, leftovers, close } = endpoint(pointToPointIpam({ prefixes: [prefix] }));
    const only = await sendRequest("a");
    await expect(sendRequest("b")).rejects.toMatchObject({
      code: Code.ResourceExhausted,
      message: `no free pair of addresses in ${named}`,
    });
    await close(only);
    expect(leftovers()).toEqual({});
  });

  test("a fully excluded prefix is exhausted, and the error names the excluded prefixes", async () => {
    const { sendRequest, leftovers } = endpoint(
      pointToPointIpam({ prefixes: ["172.16.0.0/24", "172.17.0.0/24"] }),
    );
    await expect(
      sendRequest("a", { excludedPrefixes: ["172.16.0.0/16", "172.17.0.0/16"] }),
    ).rejects.toMatchObject({
      code: Code.ResourceExhausted,
      message: "no free pair of addresses in 172.16.0.0/24, 172.17.0.0/24 without the excluded 172.16.0.0/15",
    });
    expect(leftovers()).toEqual({});
  });

  test("a request that needs two addresses does not leak a single remaining one", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes: ["172.16.0.0/31"] }));
    const excludedPrefixes = ["172.16.0.1/32"];
    await expect(sendRequest("a", { excludedPrefixes })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    expect(ends(await sendRequest("b"))).toBe("172.16.0.1/32 172.16.0.0/32");
  });

  test("uses the next prefix when the first is exhausted, and never allocates an address twice", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes: ["172.16.0.0/31", "172.16.0.0/30"] }));
    expect(ends(await sendRequest("a"))).toBe("172.16.0.1/32 172.16.0.0/32");
    expect(ends(await sendRequest("b"))).toBe("172.16.0.3/32 172.16.0.2/32");
    await expect(sendRequest("c")).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });

  test("a refresh keeps the pair, whatever other connections do", async () => {
    const { sendRequest, close, send, clock } = endpoint(pointToPointIpam({ prefixes }));
    const other = await sendRequest("other");
    const first = await sendRequest("a");
    await close(other);
    const again = await send({ ...sampleRequest(clock.now()), connection: first });
    expect(again).toEqual(first);
    expect(ends(await sendRequest("a"))).toBe(ends(first));
  });

  test("a refresh that excludes an address of the pair gets another pair, and nothing of the old one stays", async () => {
    const { sendRequest, send, clock } = endpoint(pointToPointIpam({ prefixes }));
    const { path, context } = await sendRequest("a");
    const ip = { ...context!.ipContext!, excludedPrefixes: ["172.16.0.1/32"] };
    const again = await send(
      sampleRequest(clock.now(), { id: "a", path, context: { ...context!, ipContext: ip } }),
    );
    expect(again.context!.ipContext).toMatchObject({
      srcIpAddrs: ["172.16.0.3/32"],
      dstIpAddrs: ["172.16.0.2/32"],
      srcRoutes: [route("172.16.0.2/32")],
      dstRoutes: [route("172.16.0.3/32")],
    });
    expect(ends(await sendRequest("b"))).toBe("172.16.0.1/32 172.16.0.0/32");
  });

  test("a failed first request releases its addresses", async () => {
    const { sendRequest, leftovers } = endpoint(pointToPointIpam({ prefixes }), failOnce(Code.Unavailable));
    await expect(sendRequest("a")).rejects.toMatchObject({ code: Code.Unavailable });
    expect(leftovers()).toEqual({});
    expect(ends(await sendRequest("b"))).toBe("172.16.0.1/32 172.16.0.0/32");
    expect(ends(await sendRequest("a"))).toBe("172.16.0.3/32 172.16.0.2/32");
  });

  test("a failed refresh keeps them, even if it requested others", async () => {
    const { sendRequest, debugState } = endpoint(
      pointToPointIpam({ prefixes }),
      failAfter(2, Code.Unavailable),
    );
    await sendRequest("a");
    await sendRequest("b");
    await expect(sendRequest("a", { excludedPrefixes: ["172.16.0.0/31"] })).rejects.toMatchObject({
      code: Code.Unavailable,
    });
    expect(debugState()).toMatchObject({ "ipam/point-to-point": { pairs: 2 } });
  });

  test("a refresh without another free pair keeps the current one", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes: ["172.16.0.0/31"] }));
    const first = ends(await sendRequest("a"));
    await expect(sendRequest("a", { excludedPrefixes: ["172.16.0.0/31"] })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
    });
    await expect(sendRequest("b")).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(ends(await sendRequest("a"))).toBe(first);
  });

  test("a Close releases them even if it fails in a later element", async () => {
    const { sendRequest, close, leftovers } = endpoint(
      pointToPointIpam({ prefixes }),
      failOnce(Code.Internal, "close"),
    );
    await sendRequest("a");
    await expect(close()).rejects.toMatchObject({ code: Code.Internal });
    expect(leftovers()).toEqual({});
  });

  test("the pair of an unknown connection is recovered if both addresses are free", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes }));
    const requested = { srcIpAddrs: ["172.16.0.1/32"], dstIpAddrs: ["172.16.0.0/32"] };
    expect(ends(await sendRequest("a", requested))).toBe("172.16.0.1/32 172.16.0.0/32");
    expect(ends(await sendRequest("b"))).toBe("172.16.0.3/32 172.16.0.2/32");
    const { context } = await sendRequest("c", {
      srcIpAddrs: ["172.16.0.77/32"],
      dstIpAddrs: ["172.16.0.9/32"],
    });
    expect(routed(context!.ipContext!.srcRoutes)).toEqual(["172.16.0.9/32"]);
    expect(routed(context!.ipContext!.dstRoutes)).toEqual(["172.16.0.77/32"]);
  });

  test("a pair is not recovered if it is excluded or incomplete", async () => {
    const { sendRequest } = endpoint(pointToPointIpam({ prefixes }));
    const requested = { srcIpAddrs: ["172.16.0.9/32"], dstIpAddrs: ["172.16.0.8/32"] };
    const fresh = await sendRequest("a", { ...requested, excludedPrefixes: ["172.16.0.9/32"] });
    expect(ends(fresh)).toBe("172.16.0.1/32 172.16.0.0/32");
    expect(ends(await sendRequest("b", { srcIpAddrs: ["172.16.0.9/32"] }))).toBe(
      "172.16.0.3/32 172.16.0.2/32",
    );
    const twice = { srcIpAddrs: ["172.16.0.9/32"], dstIpAddrs: ["172.16.0.9/32"] };
    expect(ends(await sendRequest("c", twice))).toBe("172.16.0.5/32 172.16.0.4/32");
  });

  test("addresses of another connection are removed from the context and replaced", async () => {
    const { sendRequest, close } = endpoint(pointToPointIpam({ prefixes, others: ["10.0.0.0/24"] }));
    const owner = await sendRequest("a");
    const requested = {
      srcIpAddrs: ["172.16.0.1/32", "10.0.0.1/32"],
      dstIpAddrs: ["172.16.0.0/32"],
      srcRoutes: [route("172.16.0.0/32"), route("10.0.0.0/8")],
      dstRoutes: [route("172.16.0.1/32")],
    };
    const { context } = await sendRequest("b", requested);
    expect(context!.ipContext).toMatchObject({
      srcIpAddrs: ["10.0.0.1/32", "172.16.0.3/32"],
      dstIpAddrs: ["172.16.0.2/32"],
      srcRoutes: [route("10.0.0.0/8"), route("172.16.0.2/32")],
      dstRoutes: [route("172.16.0.3/32")],
    });
    await close(owner);
    expect(
      ends(await sendRequest("c", { srcIpAddrs: ["172.16.0.1/32"], dstIpAddrs: ["172.16.0.0/32"] })),
    ).toBe("172.16.0.1/32 172.16.0.0/32");
  });

  test("two in a chain make a dual stack, and both recover their pairs", async () => {
    const dual = () => [
      pointToPointIpam({ prefixes: ["192.168.0.0/24"], others: ["fe80::/64"] }),
      pointToPointIpam({ prefixes: ["fe80::/64"], others: ["192.168.0.0/24"] }),
    ];
    const before = endpoint(...dual());
    await before.sendRequest("a");
    const second = await before.sendRequest("b");
    expect(ends(second)).toBe("192.168.0.3/32,fe80::3/128 192.168.0.2/32,fe80::2/128");

    const restarted = endpoint(...dual());
    const recovered = await restarted.sendRequest("b", second.context!.ipContext!);
    expect(recovered.context).toEqual(second.context);
    expect(ends(await restarted.sendRequest("c"))).toBe(
      "192.168.0.1/32,fe80::1/128 192.168.0.0/32,fe80::/128",
    );
    expect(ends(await restarted.sendRequest("d"))).toBe(
      "192.168.0.5/32,fe80::5/128 192.168.0.4/32,fe80::4/128",
    );
  });

  test("a canceled request releases its addresses", async () => {
    const { ctx, clock, send, leftovers } = endpoint(pointToPointIpam({ prefixes }), hold());
    const call = ctx.withTimeout(1_000, (c) => send(sampleRequest(clock.now()), c));
    call.catch(() => {});
    await clock.advance(1_000);
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(leftovers()).toEqual({});
  });

  test.each([
    [[], "no address prefixes"],
    [["172.16.0.0/33"], '"172.16.0.0/33" is not a prefix'],
    [["172.16.0"], '"172.16.0" is not a prefix'],
  ])("rejects %j as prefixes", (bad, why) => {
    expect(() => pointToPointIpam({ prefixes: bad })).toThrow(why);
  });

  test.each([{ excludedPrefixes: ["all"] }, { srcIpAddrs: ["all"] }, { dstRoutes: [route("all")] }])(
    "rejects a request with %j, and holds nothing",
    async (ip) => {
      const { sendRequest, leftovers } = endpoint(pointToPointIpam({ prefixes }));
      await expect(sendRequest("a", ip)).rejects.toMatchObject({
        code: Code.InvalidArgument,
        message: expect.stringContaining('"all"') as string,
      });
      expect(leftovers()).toEqual({});
    },
  );

  test("no two established connections share an address, for any sequence of requests, closes and failures", async () => {
    const ids = ["a", "b", "c", "d", "e"];
    const step = fc.record({
      id: fc.constantFrom(...ids),
      kind: fc.constantFrom("ask" as const, "fail" as const, "close" as const),
      brings: fc.option(fc.tuple(fc.nat(9), fc.nat(9))),
      excludes: fc.option(fc.nat(7)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        let failing = false;
        const { sendRequest, close, leftovers, debugState } = endpoint(
          pointToPointIpam({ prefixes: ["10.0.0.0/29"] }),
          {
            name: "sometimes",
            async request(ctx, request, next) {
              if (failing) throw new Error("refused");
              return next.request(ctx, request);
            },
          },
        );
        const live = new Map<string, Connection>();
        for (const { id, kind, brings, excludes } of steps) {
          const known = live.get(id);
          if (kind === "close") {
            if (known) await close(known);
            live.delete(id);
            continue;
          }
          failing = kind === "fail";
          const ip: Partial<IPContext> = {
            ...(brings
              ? { srcIpAddrs: [`10.0.0.${brings[0]}/32`], dstIpAddrs: [`10.0.0.${brings[1]}/32`] }
              : {}),
            ...(excludes === null ? {} : { excludedPrefixes: [`10.0.0.${excludes}/32`] }),
          };
          const answer = await sendRequest(id, ip).catch(() => undefined);
          if (answer) live.set(id, answer);
          const held = [...live.values()].flatMap(({ context }) =>
            [...context!.ipContext!.srcIpAddrs, ...context!.ipContext!.dstIpAddrs].filter((text) =>
              /^10\.0\.0\.[0-7]\//.test(text),
            ),
          );
          expect(new Set(held).size).toBe(held.length);
          expect(held.length).toBe(2 * live.size);
          expect(debugState()["ipam/point-to-point"] ?? { pairs: 0 }).toEqual({ pairs: live.size });
        }
        for (const connection of live.values()) await close(connection);
        expect(leftovers()).toEqual({});
      }),
    );
  });
});
