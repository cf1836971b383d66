import { describe, expect, test } from "vitest";
import { beginServer, Code, connectionState, updatePath } from "../../src/index.js";
import { describeElement, failOnce, run } from "../../src/testing/index.js";
import { quota } from "../../examples/custom-element/quota.js";

describeElement("quota", () => quota({ perClient: 2 }));

// Without a path the endpoint itself is the first on it: one client, two connections.
const one = { id: "one", path: undefined };
const two = { id: "two", path: undefined };

describe("quota", () => {
  const chain = (...more: Parameters<typeof run>[0][]) =>
    run([updatePath({ name: "nse" }), beginServer(), connectionState(), quota({ perClient: 1 }), ...more]);

  test("refuses a client its second connection and lets it have one when the first is closed", async () => {
    const { request, close, leftovers } = chain();
    const first = await request(one);
    await expect(request(two)).rejects.toMatchObject({ code: Code.ResourceExhausted });
    await close(first);
    await close(await request(two));
    expect(leftovers()).toEqual({});
  });

  test("counts a connection once however often it is refreshed", async () => {
    const { request, refresh, close, debugState, leftovers } = chain();
    await request();
    await close(await refresh());
    expect(debugState()).toEqual({});
    expect(leftovers()).toEqual({});
  });

  test("does not count a connection that failed further on", async () => {
    const { request, close, leftovers } = chain([failOnce(Code.Unavailable)]);
    await expect(request()).rejects.toMatchObject({ code: Code.Unavailable });
    await close(await request());
    expect(leftovers()).toEqual({});
  });
});
