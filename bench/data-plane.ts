import { BareWires } from "./bare-wires.js";
import { DataMesh, type Standing } from "./data-mesh.js";
import { firstEcho } from "./first-echo.js";
import type { Section } from "./report.js";
import { percentile } from "./statistics.js";

/** How long to measure the idle forwarder for comparison, in milliseconds. */
const IDLE_MS = 300;

/**
 * Compares the kernel forwarder, with mutual TLS on all hops, to the same vWires created by netlink alone.
 */
export async function dataPlane(quick: boolean): Promise<Section> {
  const [warmUp, count] = quick ? [5, 10] : [60, 100];
  const mesh = await DataMesh.start();
  const wires = await BareWires.prepare();
  try {
    for (let i = 0; i < warmUp; i++) {
      await (await overMesh(mesh, `warm-${i}`)).standing.close();
      await wires.make();
    }
    // Alternating, so that both are measured under equal conditions.
    const over: OverMesh[] = [];
    const bare: number[] = [];
    for (let i = 0; i < count; i++) {
      over.push(await overMesh(mesh, `nsc-${i}`));
      bare.push(await wires.make());
    }

    await mesh.forwarderLag();
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const idle = await mesh.forwarderLag();
    const began = performance.now();
    await Promise.all(over.map(({ standing }) => standing.close()));
    const closingMs = performance.now() - began;
    const busy = await mesh.forwarderLag();

    const echo = over.map(({ echoMs }) => echoMs);
    const request = over.map(({ requestMs }) => requestMs);
    const row = (what: string, ours: number, peer?: number) => ({ what, ours, peer });
    return {
      title: `Data plane, ${count} new connections, mutual TLS`,
      columns: ["whole path", "bare netlink"],
      rows: [
        row("Request to first echo, p50 ms", percentile(echo, 50), percentile(bare, 50)),
        row("Request to first echo, p99 ms", percentile(echo, 99), percentile(bare, 99)),
        row("of that, until the Request is answered, p50 ms", percentile(request, 50)),
        row(`all ${count} closed at once, ms`, closingMs),
        row("meanwhile, lag of the forwarder's event loop, p99 ms", busy.p99Ms),
        row("meanwhile, lag of the forwarder's event loop, longest ms", busy.maxMs),
        row("lag of the event loop with nothing to do, longest ms", idle.maxMs),
      ],
    };
  } finally {
    await mesh.stop();
    wires.close();
  }
}

interface OverMesh {
  readonly standing: Standing;
  readonly requestMs: number;
  readonly echoMs: number;
}

async function overMesh(mesh: DataMesh, name: string): Promise<OverMesh> {
  const { namespace, request } = await mesh.client(name);
  const began = performance.now();
  const standing = await request();
  const requestMs = performance.now() - began;
  const { srcIpAddrs, dstIpAddrs } = standing.connection.context!.ipContext!;
  await firstEcho(namespace, hostOf(srcIpAddrs[0]!), hostOf(dstIpAddrs[0]!));
  return { standing, requestMs, echoMs: performance.now() - began };
}

const hostOf = (address: string): string => address.replace(/\/.*/, "");
