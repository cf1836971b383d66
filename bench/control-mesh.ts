import { goPeer, ourProgram, type Maker, type Program, type Security } from "../test/interop/peers.js";
import type { RunningProcess } from "../src/testing/processes.js";
import { cpuSeconds, residentMb } from "./usage.js";

/** The processes a connection passes; the client is not one of them. */
export const components = ["nsmgr", "forwarder", "nse", "registry"] as const;

export type Component = (typeof components)[number];

/** The service that load asks for. */
const SERVICE = "bench";

/** Two addresses for each connection, and room for thousands. */
const CIDR = "172.16.0.0/16";

const LOCAL = "tcp://127.0.0.1:0";

/** What `gopeer load` measures of one kind of call. */
export interface LoadFigures {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ratePerSecond: number;
  readonly errors: number;
  readonly errorSamples?: readonly string[];
}

/** What a load has shown when it is over. */
export interface LoadResult {
  readonly request: LoadFigures;
  readonly refresh?: LoadFigures;
  readonly close?: LoadFigures;
}

/** How much load, in what way. */
export interface LoadOptions {
  readonly connections: number;
  readonly concurrency?: number;
  /** Refreshes each connection once, after all are made. */
  readonly refresh?: boolean;
  /** Called while all connections stand, before they are closed. */
  readonly whenAllStand?: () => void;
}

/** A client that has a connection, of either maker. */
export interface ConnectedClient {
  readonly process: RunningProcess;
  readonly endpoint: string;
}

/** Registry, manager, forwarder and an endpoint of one maker, without data plane, on loopback TCP. */
export class ControlMesh {
  private readonly running = new Map<Component, RunningProcess>();
  readonly guests: RunningProcess[] = [];

  private constructor(
    readonly maker: Maker,
    private readonly security: Security,
  ) {}

  static async start(maker: Maker, security: Security): Promise<ControlMesh> {
    const mesh = new ControlMesh(maker, security);
    try {
      await mesh.host("registry", []);
      await mesh.host("nsmgr", ["--registry", mesh.url("registry")]);
      await mesh.host("forwarder", ["--connect-to", mesh.url("nsmgr")]);
      mesh.running.set("nse", await mesh.endpoint("nse", SERVICE));
    } catch (error) {
      await mesh.stop();
      throw error;
    }
    return mesh;
  }

  /** Processor time of all components so far, in seconds. */
  cpuSeconds(): number {
    return cpuSeconds([...this.running.values()].map(({ pid }) => pid));
  }

  /** Memory of each component, in MB. */
  residentMb(): Record<Component, number> {
    return Object.fromEntries(
      components.map((name) => [name, residentMb(this.running.get(name)!.pid)]),
    ) as Record<Component, number>;
  }

  /** Makes connections with the Go SDK's client chain, the same for both makers, and closes them. */
  async load({
    connections,
    concurrency = 1,
    refresh = false,
    whenAllStand,
  }: LoadOptions): Promise<LoadResult> {
    const load = await goPeer("load", [
      ...this.common("nsc", "load"),
      ...["--connect-to", this.url("nsmgr"), "--service", SERVICE],
      ...["--connections", String(connections), "--concurrency", String(concurrency)],
      ...["--close", `--refresh=${refresh}`],
      ...(whenAllStand ? ["--hold", "60s"] : []),
    ]);
    try {
      if (whenAllStand) {
        await load.events.next("holding", { timeoutMs: 120_000 });
        whenAllStand();
        process.kill(load.pid, "SIGTERM");
      }
      const event = await load.events.next("result", { timeoutMs: 120_000 });
      const result = event as unknown as LoadResult;
      for (const { errors, errorSamples } of [result.request, result.refresh, result.close].flatMap(
        (it) => it ?? [],
      )) {
        if (errors > 0)
          throw new Error(`${this.maker} refused ${errors} of ${connections}: ${errorSamples?.join("; ")}`);
      }
      return result;
    } finally {
      await load.exited;
    }
  }

  /** From kill -9 of the endpoint in use until the client says it has the other one, in seconds. */
  async healSeconds(round: number): Promise<number> {
    const service = `heal-${round}`;
    const first = await this.endpoint("nse", service, "a");
    const nsc = await this.client(service);
    await nsc.events.next("established");
    const second = await this.endpoint("nse-2", service, "b");
    try {
      const killed = performance.now();
      await first.kill("SIGKILL");
      await nsc.events.next(({ event, connection }) => {
        const { networkServiceEndpointName } = (connection ?? {}) as { networkServiceEndpointName?: string };
        return event !== "healing" && networkServiceEndpointName === `b.${service}`;
      });
      return (performance.now() - killed) / 1000;
    } finally {
      await nsc.stop();
      await second.stop();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.guests.map((guest) => guest.kill("SIGKILL")));
    for (const running of [...this.running.values()].reverse()) await running.kill("SIGKILL");
  }

  async host(component: Component, args: readonly string[]): Promise<void> {
    this.running.set(
      component,
      await this.start(component, component, component, [...args, "--listen-on", LOCAL]),
    );
  }

  async endpoint(role: string, service: string, name = "nse"): Promise<RunningProcess> {
    const args = [
      "--connect-to",
      this.url("nsmgr"),
      "--service",
      service,
      "--cidr",
      CIDR,
      "--listen-on",
      LOCAL,
    ];
    return this.guest(await this.start("nse", role, `${name}.${service}`, args));
  }

  async client(service: string): Promise<RunningProcess> {
    const args = ["--connect-to", this.url("nsmgr"), "--request", `kernel://${service}/nsm-1`];
    return this.guest(await this.start("nsc", "nsc", `nsc.${service}`, args));
  }

  start(program: Program, role: string, name: string, args: readonly string[]): Promise<RunningProcess> {
    const all = [...this.common(role, name), ...args];
    if (this.maker === "go") return goPeer(program, all);
    const withoutKernel = program === "registry" || program === "nsmgr" ? [] : ["--control-plane-only"];
    return ourProgram(program, [...all, ...withoutKernel, "--log-level", "error"]);
  }

  common(role: string, name: string): string[] {
    return ["--name", name, ...this.security.args(role)];
  }

  url(component: Component): string {
    return this.running.get(component)!.listenOn[0]!;
  }

  guest(guest: RunningProcess): RunningProcess {
    this.guests.push(guest);
    return guest;
  }
}
