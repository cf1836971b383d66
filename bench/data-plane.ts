import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NetworkServiceRequest, type Connection } from "../src/api/index.js";
import { client } from "../src/chains/client/index.js";
import { Context } from "../src/core/index.js";
import { kernelClient } from "../src/elements/mechanisms/kernel/index.js";
import { authority, fileIdentity } from "../src/identity/index.js";
import { createVeth, netlinkIn, newNamespace, ping, type NetworkNamespace } from "../src/linux/index.js";
import { grpcLinks } from "../src/outbound/index.js";
import { startProcess, type RunningProcess } from "../src/testing/processes.js";
import type { Section } from "./main.js";
import { percentile } from "./statistics.js";

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** The kernel forwarder over the whole path with mutual TLS, next to the same wire made by netlink alone. */
export async function dataPlane(quick: boolean): Promise<Section> {
  const count = quick ? 5 : 100;
  const bare = await bareWires(count);
  const path = await wholePath(count);
  return {
    title: `Data plane: ${count} new connections, mutual TLS`,
    columns: ["whole path", "bare netlink"],
    rows: [
      { what: "Request to first echo p50, ms", ours: percentile(path.ms, 50), peer: percentile(bare, 50) },
      { what: "Request to first echo p99, ms", ours: percentile(path.ms, 99), peer: percentile(bare, 99) },
      { what: `all ${count} closed at once, ms`, ours: path.closeMs, peer: undefined },
      { what: "longest event loop lag of the forwarder meanwhile, ms", ours: path.lagMs, peer: undefined },
    ],
  };
}

async function firstEcho(namespace: NetworkNamespace, to: string): Promise<void> {
  const { received } = await ping({ namespace, to, count: 1, timeoutMs: 5_000 });
  if (received !== 1) throw new Error(`${to} does not answer`);
}

/** The wire of a connection without any mesh: a veth pair, an address and a route at either end. */
async function bareWires(count: number): Promise<number[]> {
  const [a, b] = [newNamespace(), newNamespace()];
  try {
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const [own, far] = [`10.8.${i}.1`, `10.8.${i}.0`];
      const begun = performance.now();
      await createVeth({
        a: { namespace: a, name: `a${i}`, mtu: 9_000, up: true },
        b: { namespace: b, name: `b${i}`, mtu: 9_000, up: true },
      });
      await netlinkIn(a).addAddress(`a${i}`, `${own}/32`);
      await netlinkIn(b).addAddress(`b${i}`, `${far}/32`);
      await netlinkIn(a).replaceRoute({ destination: `${far}/32`, link: `a${i}` });
      await netlinkIn(b).replaceRoute({ destination: `${own}/32`, link: `b${i}` });
      await firstEcho(a, far);
      times.push(performance.now() - begun);
    }
    return times;
  } finally {
    a.close();
    b.close();
  }
}

interface PathFigures {
  readonly ms: readonly number[];
  readonly closeMs: number;
  readonly lagMs: number;
}

async function wholePath(count: number): Promise<PathFigures> {
  const folder = mkdtempSync(join(tmpdir(), "nsm-bench-"));
  const [own, far] = [newNamespace(), newNamespace()];
  const processes: RunningProcess[] = [];
  const until = new AbortController();
  const url = (name: string): string => `unix://${folder}/${name}.sock`;
  const ca = await authority({ trustDomain: "bench.example" });
  const run = async (name: string, args: readonly string[], namespace?: NetworkNamespace): Promise<void> => {
    await (await ca.issue({ path: `/${name}` })).writeTo(join(folder, name));
    const common = [
      "--identity",
      `files=${join(folder, name)}`,
      "--listen-on",
      url(name),
      "--log-level",
      "error",
    ];
    const all = [main, "run", name, ...common, ...args];
    processes.push(await startProcess({ command: process.execPath, args: all, name, namespace }));
  };
  try {
    const metrics = "127.0.0.1:39117";
    await run("registry", []);
    await run("nsmgr", ["--registry", url("registry")]);
    await run("forwarder", [
      "--connect-to",
      url("nsmgr"),
      "--state-dir",
      join(folder, "state"),
      "--metrics",
      metrics,
    ]);
    await run("nse", ["--connect-to", url("nsmgr"), "--service", "bench", "--cidr", "10.9.0.0/16"], far);

    await (await ca.issue({ path: "/nsc" })).writeTo(join(folder, "nsc"));
    const identity = await fileIdentity(join(folder, "nsc"));
    const links = grpcLinks({ identity });
    const nsc = client({
      name: "nsc",
      url: url("nsmgr"),
      links,
      until: until.signal,
      heal: false,
      elements: [kernelClient({ inodeUrl: `file://${own.path}` })],
    });
    const ctx = Context.background();
    const make = async (id: string): Promise<{ connection: Connection; ms: number }> => {
      const begun = performance.now();
      const request = NetworkServiceRequest.create({ connection: { id, networkService: "bench" } });
      const connection = await ctx.withTimeout(15_000, (c) => nsc.networkService.request(c, request));
      await firstEcho(own, connection.context!.ipContext!.dstIpAddrs[0]!.split("/")[0]!);
      return { connection, ms: performance.now() - begun };
    };
    for (let i = 0; i < 20; i++) await nsc.networkService.close(ctx, (await make(`warm-${i}`)).connection);

    const made = [];
    for (let i = 0; i < count; i++) made.push(await make(`c-${i}`));
    await lagOf(metrics);
    const begun = performance.now();
    await Promise.all(made.map(({ connection }) => nsc.networkService.close(ctx, connection)));
    const closeMs = performance.now() - begun;
    const lagMs = await lagOf(metrics);
    links.close();
    identity.close();
    return { ms: made.map(({ ms }) => ms), closeMs, lagMs };
  } finally {
    until.abort();
    for (const running of processes.reverse()) await running.stop();
    own.close();
    far.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The longest event loop lag since it was asked for last, in milliseconds, from a program's own metrics. */
async function lagOf(address: string): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  return 1000 * Number(/^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1]);
}
