import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { socketsHeldBy, startInContainer } from "./container.js";
import { command, expectEventually } from "./support.js";

let folder: string;
let running: RunningProcess[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-containers-"));
  running = [];
});
afterEach(async () => {
  for (const one of running.reverse()) await one.stop();
  rmSync(folder, { recursive: true });
});

const hiddenOf = (name: string): string => join(folder, name);
const listenOn = (name: string): string[] => ["--listen-on", `unix://${hiddenOf(name)}/own.sock`];
const manager = (): string => `unix://${folder}/nsmgr.sock`;
const toManager = (): string[] => ["--control-plane-only", "--connect-to", manager()];
const argsOf = (program: string, args: readonly string[]): string[] =>
  command(program, ["--insecure", "--name", program, ...args]);

/** Starts a program that sees the files of this process. */
async function start(program: string, args: readonly string[]): Promise<RunningProcess> {
  const started = await startProcess({
    command: process.execPath,
    args: argsOf(program, args),
    name: program,
  });
  running.push(started);
  return started;
}

/** Starts a program whose socket no other process sees. */
async function startHidden(program: string, args: readonly string[]): Promise<RunningProcess> {
  const started = await startInContainer({
    name: program,
    hidden: hiddenOf(program),
    command: process.execPath,
    args: argsOf(program, [...listenOn(program), ...args]),
  });
  running.push(started);
  return started;
}

const nsmgr = (): Promise<RunningProcess> => start("nsmgr", ["--registry", "none", "--listen-on", manager()]);
const nse = (): Promise<RunningProcess> => startHidden("nse", ["--service", "ping", ...toManager()]);
const nsc = (): Promise<RunningProcess> => start("nsc", ["--request", "kernel://ping/nsm-1", ...toManager()]);

describe("processes that do not see each other's sockets", () => {
  test("reach an endpoint, and hold nothing of it when it is gone", async () => {
    const node = await nsmgr();
    const forwarder = await start("forwarder", [...listenOn("forwarder"), ...toManager()]);
    const endpoint = await nse();
    const client = await nsc();
    expect(await client.events.next("established")).toBeDefined();
    expect([socketsHeldBy(node), socketsHeldBy(forwarder)]).toEqual([2, 1]);
    await client.stop();
    await endpoint.stop();
    await expectEventually(async () => socketsHeldBy(forwarder), 0);
    // The forwarder is still registered.
    await expectEventually(async () => socketsHeldBy(node), 1);
  });

  test("reach a forwarder, and an endpoint that was killed and came back", async () => {
    await nsmgr();
    await startHidden("forwarder", toManager());
    const endpoint = await nse();
    const client = await nsc();
    await client.events.next("established");
    await endpoint.kill("SIGKILL");
    await nse();
    expect(await client.events.next("updated", { timeoutMs: 60_000 })).toBeDefined();
  });

  test("find each other again when the manager was replaced, without closing the connection", async () => {
    const node = await nsmgr();
    const forwarder = await startHidden("forwarder", toManager());
    const endpoint = await nse();
    const client = await nsc();
    await client.events.next("established");
    await node.kill("SIGKILL");
    const successor = await nsmgr();
    expect(await client.events.next("updated", { timeoutMs: 60_000 })).toBeDefined();
    await expectEventually(async () => socketsHeldBy(successor), 2);
    expect(socketsHeldBy(forwarder)).toBeLessThanOrEqual(1);
    expect(endpoint.stderr).not.toMatch(/closed/);
    // Before the manager, which comes last in the order of their starts.
    await client.stop();
    await endpoint.stop();
    await forwarder.stop();
  });
});
