import { insecure, mutualTls, type Maker, type Security } from "../test/interop/peers.js";
import { components, ControlMesh, roles, type Component } from "./control-mesh.js";
import type { Section } from "./report.js";
import { medians } from "./statistics.js";

/** How much is done. */
interface Amount {
  /** Rounds of both makers, by turns; the median of each figure counts. */
  readonly rounds: number;
  /** Connections of a round that are made one after the other. */
  readonly sequential: number;
  /** Connections of a round that are made several at a time. */
  readonly parallel: number;
  /** Connections that stand at the same time when memory is looked at. */
  readonly live: number;
  /** Made and closed before anything is measured: a fresh process is slow, Node's more than Go's. */
  readonly warmUp: Readonly<Record<Maker, number>>;
}

const FULL: Amount = {
  rounds: 3,
  sequential: 150,
  parallel: 300,
  live: 1_000,
  warmUp: { ours: 500, go: 50 },
};
const QUICK: Amount = { rounds: 1, sequential: 20, parallel: 40, live: 50, warmUp: { ours: 20, go: 20 } };

type Figures = Record<string, number>;

/**
 * Our components and Go's under the same load, that of the Go SDK's client chain, which connects anew for each
 * call. Both stand all the time and are asked by turns, so that both see the same machine.
 */
export async function controlPlane(kind: Security["kind"], quick: boolean): Promise<Section> {
  const amount = quick ? QUICK : FULL;
  const security = kind === "insecure" ? insecure() : await mutualTls(roles);
  const meshes: ControlMesh[] = [];
  try {
    const subjects: { readonly mesh: ControlMesh; readonly idle: Figures; readonly rounds: Figures[] }[] = [];
    for (const maker of ["ours", "go"] as const) {
      const mesh = await ControlMesh.start(maker, security);
      meshes.push(mesh);
      subjects.push({ mesh, idle: memory(mesh, "idle"), rounds: [] });
      await mesh.load({ connections: amount.warmUp[maker], concurrency: 8 });
    }
    for (let i = 0; i < amount.rounds; i++) {
      for (const { mesh, rounds } of subjects) rounds.push(await round(mesh, amount));
    }
    const [ours, go] = await inTurn(subjects, async ({ mesh, idle, rounds }) => ({
      ...medians(rounds),
      ...idle,
      ...(await memoryWithLive(mesh, amount.live)),
    }));
    return {
      title: `Control plane, ${kind}`,
      columns: ["ours", "Go"],
      rows: Object.keys(ours!).map((what) => ({ what, ours: ours![what]!, peer: go![what] })),
    };
  } finally {
    await inTurn(meshes, (mesh) => mesh.stop());
    await security.remove();
  }
}

async function round(mesh: ControlMesh, { sequential, parallel }: Amount): Promise<Figures> {
  const one = await mesh.load({ connections: sequential, refresh: true });
  const cpu = [mesh.cpuSeconds()];
  const eight = await mesh.load({
    connections: parallel,
    concurrency: 8,
    whenAllStand: () => cpu.push(mesh.cpuSeconds()),
  });
  cpu.push(mesh.cpuSeconds());
  const many = await mesh.load({ connections: parallel, concurrency: 32 });
  const perThousand = (seconds: number): number => (seconds * 1_000) / parallel;
  return {
    "new connection, one at a time, p50 ms": one.request.p50Ms,
    "new connection, one at a time, p99 ms": one.request.p99Ms,
    "refresh p50 ms": one.refresh!.p50Ms,
    "close p50 ms": one.close.p50Ms,
    "new connections/s, one at a time": one.request.ratePerSecond,
    "new connections/s, 8 at a time": eight.request.ratePerSecond,
    "new connections/s, 32 at a time": many.request.ratePerSecond,
    "CPU s per 1000 connections made, all four processes": perThousand(cpu[1]! - cpu[0]!),
    "CPU s per 1000 connections closed, all four processes": perThousand(cpu[2]! - cpu[1]!),
    "healed after kill -9 of the endpoint, ms": await mesh.healMs(),
  };
}

async function memoryWithLive(mesh: ControlMesh, connections: number): Promise<Figures> {
  let figures: Figures = {};
  const whenAllStand = (): void => void (figures = memory(mesh, `with ${connections} live`));
  await mesh.load({ connections, concurrency: 8, whenAllStand });
  return figures;
}

function memory(mesh: ControlMesh, when: string): Figures {
  const entry = (name: Component): [string, number] => [`memory MB ${when}, ${name}`, mesh.residentMb(name)];
  return Object.fromEntries(components.map(entry));
}

async function inTurn<T, R>(things: readonly T[], work: (thing: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const thing of things) results.push(await work(thing));
  return results;
}
