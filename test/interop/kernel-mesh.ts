import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { netlinkIn, type NetworkNamespace } from "../../src/linux/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { testNamespace } from "../../src/testing/netns/index.js";
import { startInContainer } from "../scenarios/container.js";
import { commandOf, goPeer, insecure, mutualTls, type Maker, type Program, type Security } from "./peers.js";

/** A program in a container: network, mount and PID namespaces in which nothing else is. */
export interface Guest extends RunningProcess {
  readonly namespace: NetworkNamespace;
}

/**
 * A registry and a manager by either maker, and our forwarder, which makes interfaces. They share a network namespace,
 * the node's. With mutual TLS, each has PID and mount namespaces of its own.
 */
export class KernelMesh {
  readonly #folder = mkdtempSync(join(tmpdir(), "nsm-kernel-"));
  readonly #manager = `unix://${this.#folder}/nsmgr.sock`;
  readonly #hosts: RunningProcess[] = [];

  private constructor(
    private readonly security: Security,
    readonly node: NetworkNamespace,
  ) {}

  static async start(nsmgr: Maker, kind: Security["kind"]): Promise<KernelMesh> {
    const roles = ["registry", "nsmgr", "forwarder", "nse", "nsc"];
    const security = kind === "insecure" ? insecure() : await mutualTls(roles);
    const mesh = new KernelMesh(security, await testNamespace());
    try {
      const registry = `unix://${mesh.#folder}/registry.sock`;
      await mesh.#host(nsmgr, "registry", ["--listen-on", registry]);
      // At a lower level, the elements of a Go manager lose the descriptors that they pass on.
      const level = ["--log-level", "info"];
      await mesh.#host(nsmgr, "nsmgr", ["--listen-on", mesh.#manager, "--registry", registry, ...level]);
      await mesh.#host("ours", "forwarder", mesh.#served("forwarder"));
      return mesh;
    } catch (error) {
      await mesh.stop();
      throw error;
    }
  }

  nse(maker: Maker, name: string, args: readonly string[]): Promise<Guest> {
    return this.#guest(maker, "nse", name, [...this.#served(name), ...args]);
  }

  nsc(maker: Maker, name: string, args: readonly string[]): Promise<Guest> {
    return this.#guest(maker, "nsc", name, ["--connect-to", this.#manager, ...args]);
  }

  /** Watches the connections at the manager. */
  monitor(): Promise<RunningProcess> {
    return goPeer("monitor", ["--connect-to", this.#manager, ...this.security.args("nsc")]);
  }

  /** What registry, manager and forwarder have logged. */
  get log(): string {
    return this.#hosts.map(({ stderr }) => stderr).join("");
  }

  async stop(): Promise<void> {
    for (const host of this.#hosts.reverse()) await host.stop();
    this.node.close();
    await this.security.remove();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #served(name: string): string[] {
    return ["--listen-on", `unix://${this.#folder}/${name}/own.sock`, "--connect-to", this.#manager];
  }

  async #host(maker: Maker, program: Program, args: readonly string[]): Promise<void> {
    const start = this.security.kind === "insecure" ? startProcess : startInContainer;
    this.#hosts.push(await start(this.#options(maker, program, program, args, this.node)));
  }

  async #guest(maker: Maker, program: Program, name: string, args: readonly string[]): Promise<Guest> {
    const namespace = await testNamespace();
    try {
      const process = await startInContainer(this.#options(maker, program, name, args, namespace));
      return Object.create(process, { namespace: { value: namespace } }) as Guest;
    } catch (error) {
      namespace.close();
      throw error;
    }
  }

  #options(
    maker: Maker,
    program: Program,
    name: string,
    args: readonly string[],
    namespace: NetworkNamespace,
  ) {
    const all = ["--name", name, ...this.security.args(program), ...args];
    const hidden = join(this.#folder, name);
    return { name: `${maker} ${name}`, hidden, namespace, ...commandOf(maker, program, all) };
  }
}

/** The interfaces of a namespace beside its loopback, with their addresses. */
export async function interfaces(namespace: NetworkNamespace) {
  const netlink = netlinkIn(namespace);
  const found = (await netlink.links()).filter(({ name }) => name !== "lo");
  const ofInterface = async ({ name, index }: { name: string; index: number }) => {
    const addresses = (await netlink.addresses(name)).filter(({ scope }) => scope !== "link");
    return { name, index, addresses: addresses.map(({ address }) => address) };
  };
  return Promise.all(found.map(ofInterface));
}
