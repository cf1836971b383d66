import { goPeer, ourProgram, type Maker, type Program, type Security } from "../test/interop/peers.js";
import type { RunningProcess } from "../src/programs/child/process.js";
import { cpuSeconds, residentMb } from "./usage.js";

/** The processes on a connection's path, without the client. */
export const components = ["nsmgr", "forwarder", "nse", "registry"] as const;

export type Component = (typeof components)[number];

/** Roles with an own identity, where identities are used. */
export const roles = [...components, "nse-2", "nsc"] as const;

/** The service that the load requests. */
const SERVICE = "bench";

/** Provides two addresses per connection, for thousands of connections. */
const CIDR = "172.16.0.0/16";

const LOCAL = ["--listen-on", "tcp://127.0.0.1:0"] as const;

/** The figures of `gopeer load` for one kind of call. */
export interface LoadFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ratePerSecond: number;
  readonly errors: number;
  readonly errorSamples?: readonly string[];
}

/** The result of a load. */
export interface LoadResult {
  readonly request: LoadFigures;
  readonly refresh: LoadFigures | undefined;
  readonly close: LoadFigures;
}

/** Amount and kind of load. */
export interface LoadOptions {
  readonly connections: number;
  readonly concurrency?: number;
  /** Whether to refresh each connection once after all are established. */
  readonly refresh?: boolean;
  /** Called while all connections are established, before they are closed. */
  readonly whenAllStand?: () => void;
}

/** Registry, manager, forwarder and an endpoint of one maker, without data plane, on loopback TCP. */
export class ControlMesh {
  readonly #components = new Map<Component, RunningProcess>();
  readonly #guests: RunningProcess[] = [];
  #services = 0;

  private constructor(
    readonly maker: Maker,
    private readonly security: Security,
  ) {}

  static async start(maker: Maker, security: Security): Promise<ControlMesh> {
    const mesh = new ControlMesh(maker, security);
    try {
      await mesh.#add("registry", []);
      await mesh.#add("nsmgr", ["--registry", mesh.#url("registry")]);
      await mesh.#add("forwarder", mesh.#toManager());
      await mesh.#add("nse", [...mesh.#toManager(), "--service", SERVICE, "--cidr", CIDR]);
    } catch (error) {
      await mesh.stop();
      throw error;
    }
    return mesh;
  }

  /** Processor time of all components so far, in seconds. */
  cpuSeconds(): number {
    return cpuSeconds([...this.#components.values()].map(({ pid }) => pid));
  }

  /** Memory of a component, in MB. */
  residentMb(component: Component): number {
    return residentMb(this.#components.get(component)!.pid);
  }

  /**
   * Establishes connections with the Go SDK's client chain, for both makers, and closes them.
   *
   * @throws Error if any call fails
   */
  async load({
    connections,
    concurrency = 1,
    refresh = false,
    whenAllStand,
  }: LoadOptions): Promise<LoadResult> {
    const load = await goPeer("load", [
      ...this.#called("load", "nsc"),
      ...[...this.#toManager(), "--service", SERVICE],
      ...["--connections", String(connections), "--concurrency", String(concurrency)],
      ...["--close", `--refresh=${refresh}`],
      ...(whenAllStand ? ["--hold", "60s"] : []),
    ]);
    try {
      if (whenAllStand) {
        await load.events.next("holding", { timeoutMs: LOAD_WITHIN_MS });
        whenAllStand();
        process.kill(load.pid, "SIGTERM"); // it stops holding, and closes
      }
      const event = await load.events.next("result", { timeoutMs: LOAD_WITHIN_MS });
      const result = event as unknown as LoadResult;
      const failed = [result.request, result.refresh, result.close].find((it) => it && it.errors > 0);
      if (!failed) return result;
      const why = failed.errorSamples?.join("; ");
      throw new Error(`${this.maker}: ${failed.errors} of ${connections} calls failed: ${why}`);
    } finally {
      await load.kill("SIGKILL");
    }
  }

  /** Time from kill -9 of the active endpoint until the client reports the other one, in milliseconds. */
  async healMs(): Promise<number> {
    const service = `heal-${++this.#services}`;
    const endpoint = (role: string, name: string): Promise<RunningProcess> =>
      this.#guest("nse", role, `${name}.${service}`, ["--service", service, "--cidr", CIDR, ...LOCAL]);
    const first = await endpoint("nse", "a");
    const nsc = await this.#guest("nsc", "nsc", `nsc.${service}`, ["--request", `kernel://${service}/nsm-1`]);
    await nsc.events.next("established");
    await endpoint("nse-2", "b");

    const killed = performance.now();
    await first.kill("SIGKILL");
    await nsc.events.next(({ event, connection }) => {
      const { networkServiceEndpointName: name } = (connection ?? {}) as {
        networkServiceEndpointName?: string;
      };
      return event !== "healing" && name === `b.${service}`;
    });
    const took = performance.now() - killed;
    for (const guest of this.#guests.splice(0).reverse()) await guest.stop();
    return took;
  }

  async stop(): Promise<void> {
    const all = [...this.#guests, ...this.#components.values()];
    await Promise.all(all.map((running) => running.kill("SIGKILL")));
  }

  async #add(component: Component, args: readonly string[]): Promise<void> {
    const all = [...args, ...LOCAL];
    this.#components.set(component, await this.#start(component, component, component, all));
  }

  async #guest(
    program: Program,
    role: string,
    name: string,
    args: readonly string[],
  ): Promise<RunningProcess> {
    const guest = await this.#start(program, role, name, [...this.#toManager(), ...args]);
    this.#guests.push(guest);
    return guest;
  }

  #start(program: Program, role: string, name: string, args: readonly string[]): Promise<RunningProcess> {
    const all = [...this.#called(name, role), ...args];
    if (this.maker === "go") return goPeer(program, all);
    const wires = program === "forwarder" || program === "nse" || program === "nsc";
    return ourProgram(program, [...all, "--log-level", "error", ...(wires ? ["--control-plane-only"] : [])]);
  }

  #called(name: string, role: string): string[] {
    return ["--name", name, ...this.security.args(role)];
  }

  #toManager(): string[] {
    return ["--connect-to", this.#url("nsmgr")];
  }

  #url(component: Component): string {
    return this.#components.get(component)!.listenOn[0]!;
  }
}

/** Time limit of a load on a busy machine, in milliseconds. */
const LOAD_WITHIN_MS = 180_000;
