import { describe, expect, test } from "vitest";
import { Code, type NetworkServiceElement } from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { groupIpam } from "../../../src/elements/ipam/group/index.js";
import { run, sampleRequest } from "../../../src/testing/index.js";

describe("ipam/group", () => {
  function endpoint(...args: Parameters<typeof groupIpam>) {
    const bench = run([connectionState(), groupIpam(...args)]);
    const sendRequest = async (id: string) => {
      const { context } = await bench.send(sampleRequest(bench.clock.now(), { id }));
      return `${context!.ipContext!.srcIpAddrs.join()} ${context!.ipContext!.dstIpAddrs.join()}`;
    };
    return { ...bench, sendRequest };
  }

  test("every group allocates a pair, from its first prefix with free addresses", async () => {
    const { sendRequest, close, leftovers } = endpoint([["172.92.3.4/31", "173.92.0.0/16"], ["fd00::/116"]]);
    expect(await sendRequest("a")).toBe("172.92.3.5/32,fd00::1/128 172.92.3.4/32,fd00::/128");
    expect(await sendRequest("b")).toBe("173.92.0.1/32,fd00::3/128 173.92.0.0/32,fd00::2/128");
    await close();
    expect(leftovers()).toEqual({
      "connection-state": { connections: 1 },
      "ipam/point-to-point": { pairs: 2 },
    });
  });

  test("the groups keep each other's addresses, and remove those of another endpoint", async () => {
    const dual = [["172.92.0.0/16"], ["fd00::/116"]];
    const { send, clock, sendRequest } = endpoint([["10.0.0.0/8"], ["fd11::/116"]]);
    expect(await sendRequest("a")).toBe("10.0.0.1/32,fd11::1/128 10.0.0.0/32,fd11::/128");
    const healed = endpoint(dual);
    const earlier = await send(sampleRequest(clock.now(), { id: "a" }));
    const { context } = await healed.send(sampleRequest(clock.now(), { id: "a", context: earlier.context }));
    expect(context!.ipContext!.srcIpAddrs).toEqual(["172.92.0.1/32", "fd00::1/128"]);
    expect(context!.ipContext!.srcRoutes.map(({ prefix }) => prefix)).toEqual([
      "172.92.0.0/32",
      "fd00::/128",
    ]);
    const again = await healed.send(sampleRequest(clock.now(), { id: "a", context }));
    expect(again.context).toEqual(context);
  });

  test("when a later group is exhausted, the earlier ones release their addresses", async () => {
    const { sendRequest, leftovers } = endpoint([["172.16.0.0/24"], ["fd00::/128"]]);
    await expect(sendRequest("a")).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(leftovers()).toEqual({});
  });

  test("each group may use another element", () => {
    const made: unknown[] = [];
    const ipam = (prefixes: readonly string[]): NetworkServiceElement => {
      made.push(prefixes);
      return { name: `ipam-${made.length}` };
    };
    expect(groupIpam([["10.0.0.0/8"], ["fd00::/8", "fd01::/16"]], { ipam })).toMatchObject([
      { name: "ipam-1" },
      { name: "ipam-2" },
    ]);
    expect(made).toEqual([["10.0.0.0/8"], ["fd00::/8", "fd01::/16"]]);
  });

  test("rejects an empty list of groups and empty groups", () => {
    expect(() => groupIpam([])).toThrow("no address prefixes: groupIpam() needs at least one group");
    expect(() => groupIpam([["10.0.0.0/8"], []])).toThrow("no address prefixes");
  });
});
