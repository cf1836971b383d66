import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RunningProcess } from "../../src/programs/child/process.js";
import { startInContainer } from "../scenarios/container.js";
import {
  commandOf,
  connectionOf,
  insecure,
  mutualTls,
  type Maker,
  type Program,
  type Security,
} from "./peers.js";

type Makers = Readonly<Record<"nsmgr" | "forwarder" | "nse", Maker>>;

/** Every mixture in which at least one process is Go's, and one ours. */
const mixtures: readonly Makers[] = [
  { nsmgr: "ours", forwarder: "ours", nse: "go" },
  { nsmgr: "ours", forwarder: "go", nse: "ours" },
  { nsmgr: "ours", forwarder: "go", nse: "go" },
  { nsmgr: "go", forwarder: "ours", nse: "ours" },
  { nsmgr: "go", forwarder: "ours", nse: "go" },
  { nsmgr: "go", forwarder: "go", nse: "ours" },
];

describe.each([
  ["insecure", async () => insecure()],
  ["mutual TLS", () => mutualTls(["registry", "nsmgr", "forwarder", "nse", "nsc"])],
])("manager, forwarder and endpoint in containers, with unix sockets only, %s", (_kind, make) => {
  let security: Security;
  let folder: string;
  let running: RunningProcess[];

  beforeEach(async () => {
    security = await make();
    folder = mkdtempSync(join(tmpdir(), "nsm-sockets-"));
    running = [];
  });
  afterEach(async () => {
    for (const one of running.reverse()) await one.stop();
    rmSync(folder, { recursive: true });
    await security.remove();
  });

  /** Starts a program in a container, in which it alone sees its socket unless `url` is given. */
  async function start(
    maker: Maker,
    program: Program,
    args: readonly string[],
    url?: string,
  ): Promise<RunningProcess> {
    const hidden = join(folder, program);
    const own = ["--name", program, ...security.args(program), ...args];
    const listen = program === "nsc" ? [] : ["--listen-on", url ?? `unix://${hidden}/own.sock`];
    const started = await startInContainer({
      name: `${maker} ${program}`,
      hidden,
      ...commandOf(maker, program, [...own, ...listen]),
    });
    running.push(started);
    return started;
  }

  test.each(mixtures)("manager: $nsmgr, forwarder: $forwarder, endpoint: $nse", async (makers) => {
    const manager = `unix://${folder}/nsmgr.sock`;
    const to = (maker: Maker): string[] => [
      "--connect-to",
      manager,
      ...(maker === "ours" ? ["--control-plane-only"] : []),
    ];
    const registry = `unix://${folder}/registry.sock`;
    await start("ours", "registry", [], registry);
    await start(makers.nsmgr, "nsmgr", ["--registry", registry], manager);
    await start(makers.forwarder, "forwarder", to(makers.forwarder));
    await start(makers.nse, "nse", ["--service", "ping", "--cidr", "172.16.1.0/24", ...to(makers.nse)]);
    const nsc = await start("ours", "nsc", ["--request", "kernel://ping/nsm-1", ...to("ours")]);
    const connection = connectionOf(await nsc.events.next("established", { timeoutMs: 30_000 }));
    expect(connection.networkServiceEndpointName).toBe("nse");
    expect(connection.path!.pathSegments.map(({ name }) => name)).toEqual([
      "nsc",
      "nsmgr",
      "forwarder",
      "nse",
    ]);
  });
});
