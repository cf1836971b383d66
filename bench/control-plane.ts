import { insecure, mutualTls, type Maker, type Security } from "../test/interop/peers.js";
import { components, ControlMesh } from "./control-mesh.js";
import type { Section } from "./main.js";
import { medians } from "./statistics.js";

const ROLES = ["registry", "nsmgr", "forwarder", "nse", "nse-2", "nsc"];

/** How much is done; the quick form only shows that it works. */
interface Amount {
  readonly warmUp: number;
  readonly sequential: number;
  readonly parallel: number;
  readonly live: number;
  readonly heals: number;
  readonly rounds: number;
}

const FULL: Amount = { warmUp: 400, sequential: 200, parallel: 500, live: 1_000, heals: 3, rounds: 3 };
const QUICK: Amount = { warmUp: 20, sequential: 20, parallel: 40, live: 40, heals: 1, rounds: 1 };

type Figures = Record<string, number>;

/** Our components and Go's, one after the other, under the same load generator: the Go SDK's client chain. */
export async function controlPlane(kind: Security["kind"], quick: boolean): Promise<Section> {
  const amount = quick ? QUICK : FULL;
  const security = kind === "insecure" ? insecure() : await mutualTls(ROLES);
  try {
    const ours = await measured("ours", security, amount);
    const go = await measured("go", security, amount);
    return {
      title: `Control plane, ${kind}`,
      columns: ["ours", "Go"],
      rows: Object.keys(ours).map((what) => ({ what, ours: ours[what]!, peer: go[what] })),
    };
  } finally {
    await security.remove();
  }
}

async function measured(maker: Maker, security: Security, amount: Amount): Promise<Figures> {
  const mesh = await ControlMesh.start(maker, security);
  try {
    const idle = mesh.residentMb();
    await mesh.load({ connections: amount.warmUp, concurrency: 8 });
    const rounds: Figures[] = [];
    for (let round = 0; round < amount.rounds; round++) rounds.push(await oneRound(mesh, amount));
    const live = await withManyLive(mesh, amount.live);
    const heals: Figures[] = [];
    for (let i = 0; i < amount.heals; i++)
      heals.push({ "heal after kill -9 of the endpoint, ms": 1000 * (await mesh.healSeconds(i)) });
    return {
      ...medians(rounds),
      ...medians(heals),
      ...Object.fromEntries(components.map((name) => [`RSS ${name} idle, MB`, idle[name]])),
      ...Object.fromEntries(
        components.map((name) => [`RSS ${name} with ${amount.live} live, MB`, live[name] ?? NaN]),
      ),
    };
  } finally {
    await mesh.stop();
  }
}

async function oneRound(mesh: ControlMesh, { sequential, parallel }: Amount): Promise<Figures> {
  const one = await mesh.load({ connections: sequential, refresh: true });
  const eight = await mesh.load({ connections: parallel, concurrency: 8 });
  const before = mesh.cpuSeconds();
  const many = await mesh.load({ connections: parallel, concurrency: 32 });
  const cpu = mesh.cpuSeconds() - before;
  return {
    "new connection, sequential p50, ms": one.request.p50Ms,
    "new connection, sequential p99, ms": one.request.p99Ms,
    "refresh p50, ms": one.refresh!.p50Ms,
    "close p50, ms": one.close!.p50Ms,
    "new connections/s at concurrency 1": one.request.ratePerSecond,
    "new connections/s at concurrency 8": eight.request.ratePerSecond,
    "new connections/s at concurrency 32": many.request.ratePerSecond,
    "CPU s per 1000 connections made and closed, all components": (cpu * 1000) / parallel,
  };
}

async function withManyLive(mesh: ControlMesh, connections: number): Promise<Record<string, number>> {
  let live: Record<string, number> = {};
  await mesh.load({ connections, concurrency: 8, whenAllStand: () => (live = mesh.residentMb()) });
  return live;
}
