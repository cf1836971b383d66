import { insecure, mutualTls, type Maker, type Security } from "../test/interop/peers.js";
import { components, ControlMesh, roles, type Component } from "./control-mesh.js";
import type { Section } from "./report.js";
import { medians } from "./statistics.js";

/** Amount of work. */
interface Amount {
  /** Rounds of both makers, alternating. The result is the median of each figure. */
  readonly rounds: number;
  /** Connections per round that are established one after another. */
  readonly sequential: number;
  /** Connections per round that are established concurrently. */
  readonly parallel: number;
  /** Established connections while memory is measured. */
  readonly live: number;
  /** Connections before the measurement. A fresh process is slow, Node's more than Go's. */
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
 * Compares this project's components with Go's under the same load of the Go SDK's client chain, which
 * connects anew for each call. Both run all the time and are measured alternately, under equal conditions.
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
