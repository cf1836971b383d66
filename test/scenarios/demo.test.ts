import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { unmappedUser, asOrdinaryUser, DemoGround, interfaces, reportOf } from "./demo-run.js";

const everything = [
  "preflight",
  "certificates",
  "mesh started",
  "firewall endpoint started",
  "client started",
  "connection established",
  "ICMP gets through",
  "allowed TCP port gets through",
  "denied TCP port does not",
  "counters agree with what was sent",
  "new rules open the denied port",
  "connection was not made again",
  "open TCP connection keeps working",
  "second endpoint started",
  "healed after kill -9",
  "packets flow again",
  "connection closed",
  "programs ended",
  "nothing left behind",
];

const wholePath = ["nsc", "nsmgr", "forwarder", "fw-1"];

let ground: DemoGround;
let interfacesBefore: readonly string[];

beforeEach(async () => {
  ground = new DemoGround();
  interfacesBefore = await interfaces();
});
afterEach(async () => {
  try {
    expect(ground.leftovers()).toEqual([]);
    expect(await interfaces()).toEqual(interfacesBefore);
  } finally {
    ground.clear();
  }
});

const users: readonly [who: string, prefix: () => readonly string[]][] = [
  ["root", () => []],
  ["an ordinary user", asOrdinaryUser],
];

describe.each(users)("the demo of %s", (who, prefix) => {
  test("passes every check and prints one object on stdout, the story on stderr", async () => {
    const run = await ground.start(["--json"], prefix());
    expect([await run.ended, run.stderr()]).toEqual([0, expect.stringMatching(/\nall checks passed\n$/)]);

    const { ok, seconds, checks, path, leftovers } = reportOf(run);
    const failed = checks.filter((check) => !check.ok);
    expect({ ok, failed, path, leftovers }).toEqual({
      ok: true,
      failed: [],
      path: wholePath,
      leftovers: [],
    });
    expect(checks.map(({ name }) => name)).toEqual(everything);
    for (const { ms, detail } of checks) expect([ms > 0, detail]).toEqual([true, expect.stringMatching(/./)]);
    expect(seconds * 1_000).toBeGreaterThanOrEqual(checks.reduce((sum, { ms }) => sum + ms, 0) * 0.99);
    expect(checks[0]!.detail).toContain(who);
    expect(run.stderr()).toContain("nsc ──▶ nsmgr ──▶ forwarder ──▶ fw-1");
  });

  test.each(["SIGINT", "SIGTERM"] as const)("cleans up and reports it when %s ends it", async (signal) => {
    const run = await ground.start(["--json"], prefix());
    await run.seen("✓ connection established");
    run.child.kill(signal);
    expect(await run.ended).toBe(signal === "SIGINT" ? 130 : 143);

    const { ok, checks, path, leftovers } = reportOf(run);
    expect({ ok, path, leftovers }).toEqual({ ok: false, path: wholePath, leftovers: [] });
    const failed = checks.filter((check) => !check.ok);
    expect(failed[0]!.detail).toBe(`interrupted by ${signal}`);
    for (const { detail } of failed.slice(1)) expect(detail).toBe(`not run: "${failed[0]!.name}" failed`);
    expect(checks.at(-1)).toMatchObject({ name: "nothing left behind", ok: true });
  });

  test("leaves nothing when it is killed without a chance to clean up", async () => {
    const run = await ground.start(["--json"], prefix());
    await run.seen("✓ connection established");
    expect(ground.processes("run forwarder")).toHaveLength(1);
    run.child.kill("SIGKILL");
    expect(await run.ended).toBe("SIGKILL");
    await vi.waitFor(() => expect(ground.leftovers()).toEqual([]), { timeout: 60_000 });
  });
});

describe("a demo in which something dies", () => {
  test("names what failed, counts what was not run as failed, and cleans up", async () => {
    const run = await ground.start(["--json"]);
    await run.seen("✓ connection established");
    process.kill(ground.pidOf("run nsc"), "SIGKILL");
    expect(await run.ended).toBe(1);

    const { ok, checks, leftovers } = reportOf(run);
    expect({ ok, leftovers }).toEqual({ ok: false, leftovers: [] });
    expect(checks.map(({ name }) => name)).toEqual(everything);
    const failed = checks.filter((check) => !check.ok);
    expect(failed[0]!.detail).toMatch(/^nsc .*ended with SIGKILL before/);
    expect(failed.at(-1)).toEqual({
      name: "programs ended",
      ok: false,
      ms: 0,
      detail: `not run: "${failed[0]!.name}" failed`,
    });
    expect(run.stderr()).toMatch(/not run .*programs ended\nfailed: .* SIGKILL .*\n$/);
  });
});

describe("a demo that cannot run", () => {
  const missing =
    /^nsmctl demo: no network namespaces: this process lacks CAP_SYS_ADMIN, and user namespaces .*; run it as root, or in a container with --cap-add SYS_ADMIN --cap-add NET_ADMIN.*\n$/;

  test("names the missing capability and the remedy in one line, and pretends nothing", async () => {
    const run = await ground.start([], unmappedUser);
    expect(await run.ended).toBe(2);
    expect([run.stdout(), run.stderr()]).toEqual(["", expect.stringMatching(missing)]);
  });

  test("prints its object all the same", async () => {
    const run = await ground.start(["--json"], unmappedUser);
    expect(await run.ended).toBe(2);
    expect(run.stderr()).toMatch(missing);
    const { ok, checks, path, leftovers } = reportOf(run);
    expect({ ok, path, leftovers }).toEqual({ ok: false, path: [], leftovers: [] });
    expect(checks.map(({ name }) => name)).toEqual(everything);
    expect(checks.filter((check) => check.ok)).toEqual([]);
    expect(checks[0]!.detail).toMatch(/lacks CAP_SYS_ADMIN/);
  });

  test("prints its usage for any other argument", async () => {
    const run = await ground.start(["--jsn"]);
    expect([await run.ended, run.stdout(), run.stderr()]).toEqual([2, "", "error: unknown option '--jsn'\n"]);
  });
});
