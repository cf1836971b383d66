import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningProcess } from "../../src/testing/processes.js";
import { goPeer, mutualTls, type Maker } from "./peers.js";
import { allBy, Stack } from "./stack.js";

const makers: readonly Maker[] = ["go", "ours"];
describe.each(makers)("a mesh whose manager is %s, with mutual TLS and policies", (maker) => {
  const service = "svc";
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start(allBy("go", { nsmgr: maker, registry: maker }), "mutual TLS");
    await stack.nse("nse-1", service, ["172.16.1.0/24"]);
  });
  afterAll(() => stack?.abandon());

  /** A client's whole life: it ends by itself when it cannot connect. */
  async function outcome(nsc: RunningProcess) {
    const { code } = await nsc.exited;
    return {
      code,
      events: nsc.events.all.map(({ event }) => event),
      error: String(nsc.events.all[0]?.error),
    };
  }
  const client = (...args: readonly string[]) =>
    goPeer("nsc", [
      ...["--name", "nsc", "--connect-to", stack.url("nsmgr"), "--request", `kernel://${service}/nsm-1`],
      ...["--request-timeout", "3s", ...args],
    ]);

  test("accepts a client with its own token", async () => {
    const nsc = await client(...stack.security.args("nsc"));
    await nsc.events.next("established");
    await expect(nsc.stop()).resolves.toEqual({ code: 0, signal: null });
  });

  test("refuses a client whose tokens are signed with another key than its certificate's", async () => {
    const nsc = await client(...stack.security.args("nsc"), "--forge-tokens");
    const { code, events, error } = await outcome(nsc);
    expect({ code, events }).toEqual({ code: 1, events: ["failed"] });
    expect(error).toContain("PermissionDenied");
  });

  test("does not talk to a client of another authority", async () => {
    const strangers = await mutualTls(["nsc"]);
    try {
      const { code, events, error } = await outcome(await client(...strangers.args("nsc")));
      expect({ code, events }).toEqual({ code: 1, events: ["failed"] });
      expect(error).toContain("Unavailable");
    } finally {
      await strangers.remove();
    }
  });

  test("does not talk to a client without a certificate", async () => {
    const { code, events, error } = await outcome(await client("--insecure"));
    expect({ code, events }).toEqual({ code: 1, events: ["failed"] });
    expect(error).toContain("Unavailable");
  });

  test("does not let another identity take over an endpoint's registration", async () => {
    const args = ["--name", `nse-1.${service}`, "--connect-to", stack.url("nsmgr"), "--service", service];
    const thief = goPeer("nse", [
      ...args,
      ...["--cidr", "172.16.9.0/24", "--request-timeout", "2s"],
      ...stack.security.args("nse-2"),
    ]);
    await expect(thief).rejects.toThrow("PermissionDenied");
    const nsc = await client(...stack.security.args("nsc"));
    const established = await nsc.events.next("established");
    expect(JSON.stringify(established)).toContain("172.16.1.");
    await nsc.stop();
  });
});
