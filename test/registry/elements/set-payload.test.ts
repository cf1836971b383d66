import { describe, expect, test } from "vitest";
import { NetworkServiceEntry } from "../../../src/api/index.js";
import { Context, networkServiceRegistryChain } from "../../../src/core/index.js";
import { setPayload } from "../../../src/registry/elements/set-payload/index.js";

describe("set-payload", () => {
  test.each([
    ["gives a service without payload IP", undefined, "", "IP"],
    ["keeps a payload that is set", undefined, "ETHERNET", "ETHERNET"],
    ["gives a default of one's own", "ETHERNET", "", "ETHERNET"],
  ])("%s", async (_title, payload, requested, expected) => {
    const chain = networkServiceRegistryChain([setPayload({ payload })]);
    const service = Object.freeze(NetworkServiceEntry.create({ name: "icmp", payload: requested }));
    expect((await chain.register(Context.background(), service)).payload).toBe(expected);
  });
});
