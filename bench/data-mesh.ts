import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Connection, NetworkServiceRequest } from "../src/api/index.js";
import { client } from "../src/chains/client/index.js";
import { Context, type Remotes, type NetworkService } from "../src/core/index.js";
import { kernelClient } from "../src/elements/mechanisms/kernel/index.js";
import { authority, fileIdentity } from "../src/identity/index.js";
import type { NetworkNamespace } from "../src/linux/index.js";
import { grpcRemotes } from "../src/outbound/index.js";
import { startProcess, type RunningProcess } from "../src/programs/child/process.js";
import { namespaceWithLoopback } from "./bare-wires.js";

/** Delay of a program's event loop, in milliseconds. */
export interface LoopLag {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const lagProbe = new URL("./loop-lag.mjs", import.meta.url).href;

const SERVICE = "bench";
const roles = ["registry", "nsmgr", "forwarder", "nse", "nsc"] as const;

/** An established connection, and how to close it. */
export interface Standing {
  readonly connection: Connection;
  close(): Promise<void>;
}

/**
 * A whole mesh with mutual TLS on unix sockets and a kernel forwarder. This process runs the clients, each in
 * its own namespace. The endpoint uses one namespace for all its interfaces.
 */
export class DataMesh {
  readonly #running: RunningProcess[] = [];
  readonly #life = new AbortController();
  readonly #clients: NetworkNamespace[] = [];
  #remotes: (Remotes & { close(): void }) | undefined;
  #forwarder: RunningProcess | undefined;

  private constructor(
    private readonly folder: string,
    private readonly endpointNamespace: NetworkNamespace,
  ) {}

  static async start(): Promise<DataMesh> {
    const folder = await mkdtemp(join(tmpdir(), "nsm-bench-"));
    const mesh = new DataMesh(folder, await namespaceWithLoopback());
    try {
      await mesh.#open();
    } catch (error) {
      await mesh.stop();
      throw error;
    }
    return mesh;
  }

  /** Creates a client in its own namespace. `request` establishes a new connection over all hops. */
  async client(name: string): Promise<{ namespace: NetworkNamespace; request(): Promise<Standing> }> {
    const namespace = await namespaceWithLoopback();
    this.#clients.push(namespace);
    const { networkService } = client({
      name,
      url: this.#url("nsmgr"),
      remotes: this.#remotes!,
      until: this.#life.signal,
      refresh: false,
      heal: false,
      elements: [kernelClient({ inodeUrl: `file://${namespace.path}`, interfaceName: "nsm-1" })],
    });
    return { namespace, request: () => this.#request(networkService, name) };
  }

  async #request(networkService: NetworkService, id: string): Promise<Standing> {
    const request = NetworkServiceRequest.create({
      connection: Connection.create({ id, networkService: SERVICE }),
    });
    const connection = await this.#call((ctx) => networkService.request(ctx, request));
    return { connection, close: () => this.#call((ctx) => networkService.close(ctx, connection)) };
  }

  /** Delay of the forwarder's event loop since the last call. */
  async forwarderLag(): Promise<LoopLag> {
    process.kill(this.#forwarder!.pid, "SIGUSR2");
    return (await this.#forwarder!.events.next("loop-lag")) as unknown as LoopLag;
  }

  async stop(): Promise<void> {
    this.#life.abort();
    this.#remotes?.close();
    for (const running of this.#running.reverse()) await running.kill("SIGKILL");
    for (const namespace of [...this.#clients, this.endpointNamespace]) namespace.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #open(): Promise<void> {
    const ca = await authority({ trustDomain: "example.org" });
    for (const role of roles) await (await ca.issue({ path: `/${role}` })).writeTo(this.#path(role));
    await this.#start("registry", ["--listen-on", this.#url("registry")]);
    await this.#start("nsmgr", ["--listen-on", this.#url("nsmgr"), "--registry", this.#url("registry")]);
    const manager = ["--connect-to", this.#url("nsmgr")];
    this.#forwarder = await this.#start("forwarder", [
      ...[...manager, "--listen-on", this.#url("forwarder"), "--state-dir", this.#path("state")],
    ]);
    const endpoint = [...manager, "--listen-on", this.#url("nse"), "--service", SERVICE];
    await this.#start("nse", [...endpoint, "--cidr", "172.16.0.0/16"], this.endpointNamespace);

    const identity = await fileIdentity(this.#path("nsc"));
    const remotes = grpcRemotes({ identity });
    this.#remotes = { to: (url) => remotes.to(url), close: () => (remotes.close(), identity.close()) };
  }

  async #start(role: string, args: readonly string[], namespace?: NetworkNamespace): Promise<RunningProcess> {
    const common = ["--name", role, "--identity", `files=${this.#path(role)}`, "--log-level", "error"];
    const running = await startProcess({
      command: process.execPath,
      args: [...(role === "forwarder" ? ["--import", lagProbe] : []), main, "run", role, ...common, ...args],
      name: role,
      namespace,
    });
    this.#running.push(running);
    return running;
  }

  #call<R>(work: (ctx: Context) => Promise<R>): Promise<R> {
    return Context.background({ signal: this.#life.signal }).withTimeout(15_000, work);
  }

  #path(name: string): string {
    return join(this.folder, name);
  }

  #url(name: string): string {
    return `unix://${this.#path(`${name}.sock`)}`;
  }
}
