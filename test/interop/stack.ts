import type { RunningProcess } from "../../src/programs/child/process.js";
import { goPeer, insecure, mutualTls, ourProgram, type Maker, type Program, type Security } from "./peers.js";

/** Who wrote which component. */
export type Makers = Readonly<Record<Program, Maker>>;

/** A mesh in which everything is by one maker, but for the exceptions. */
export function allBy(maker: Maker, exceptions: Partial<Makers> = {}): Makers {
  return { registry: maker, nsmgr: maker, forwarder: maker, nse: maker, nsc: maker, ...exceptions };
}

/**
 * A client whose connection is refreshed within seconds. A Go manager closes a connection as long before its
 * expiry as its first Request had time, so that time has to be the shorter one.
 */
export const shortLife = ["--max-token-lifetime", "5s", "--request-timeout", "3s"] as const;

/** Flags with which our programs need no privilege. */
export const withoutKernel: Readonly<Record<Program, readonly string[]>> = {
  registry: [],
  nsmgr: [],
  forwarder: ["--control-plane-only"],
  nse: ["--control-plane-only"],
  // The name that Go's client gives its namespace. Over TCP a Go manager looks the path up again when it closes,
  // and keeps the Close to itself when it belongs to a process that is gone, as /proc/<pid> does.
  nsc: ["--control-plane-only", "--netns", "/proc/thread-self/ns/net"],
};

/** Registry, manager and forwarder, and the endpoints and clients that a test adds to them. */
export class Stack {
  readonly #hosts = new Map<Program, RunningProcess>();
  #guests: RunningProcess[] = [];

  private constructor(
    readonly makers: Makers,
    readonly security: Security,
  ) {}

  static async start(makers: Makers, kind: Security["kind"]): Promise<Stack> {
    const roles = ["registry", "nsmgr", "forwarder", "nse-1", "nse-2", "nsc"];
    const stack = new Stack(makers, kind === "insecure" ? insecure() : await mutualTls(roles));
    try {
      await stack.#host("registry", []);
      await stack.#host("nsmgr", ["--registry", stack.url("registry")]);
      await stack.#host("forwarder", ["--connect-to", stack.url("nsmgr")]);
    } catch (error) {
      await stack.abandon();
      throw error;
    }
    return stack;
  }

  url(program: "registry" | "nsmgr" | "forwarder"): string {
    return urlOf(this.#hosts.get(program)!);
  }

  /** An endpoint of `service` called `<role>.<service>`, with the identity of its role. */
  nse(role: "nse-1" | "nse-2", service: string, cidr: readonly string[]): Promise<RunningProcess> {
    const args = ["--service", service, ...cidr.flatMap((prefix) => ["--cidr", prefix])];
    return this.#guest("nse", role, `${role}.${service}`, [...args, "--listen-on", "tcp://127.0.0.1:0"]);
  }

  nsc(service: string, args: readonly string[] = []): Promise<RunningProcess> {
    return this.#guest("nsc", "nsc", `nsc.${service}`, ["--request", `kernel://${service}/nsm-1`, ...args]);
  }

  /** Watches the connections of an endpoint as the process before it may: as the forwarder. */
  async monitor(endpoint: RunningProcess): Promise<RunningProcess> {
    return this.#add(
      await goPeer("monitor", ["--connect-to", urlOf(endpoint), ...this.security.args("forwarder")]),
    );
  }

  /** The URL of each endpoint of the service, by name, as the registry or the manager reports it. */
  async find(at: "registry" | "nsmgr", service: string): Promise<Record<string, string>> {
    const args = ["--connect-to", this.url(at), "--service", service, ...this.security.args("forwarder")];
    const finder = await goPeer("find", args);
    const { code } = await finder.exited;
    if (code !== 0) throw new Error(`go find failed: ${finder.stderr}`);
    const endpoints = finder.events.all.map(({ endpoint }) => endpoint as { name: string; url: string });
    return Object.fromEntries(endpoints.map(({ name, url }) => [name, url]));
  }

  /** Kills the manager and starts one with the same address and nothing in memory. */
  async replaceManager(): Promise<void> {
    const url = this.url("nsmgr");
    await this.#hosts.get("nsmgr")!.kill("SIGKILL");
    await this.#host("nsmgr", ["--registry", this.url("registry")], url);
  }

  /** Kills what a test has added. */
  async dismissGuests(): Promise<void> {
    await Promise.all(this.#guests.splice(0).map((guest) => guest.kill("SIGKILL")));
  }

  /** Ends everything as a user would. Returns the exit code of each program. */
  async stop(): Promise<Partial<Record<Program, number | null>>> {
    const codes: Partial<Record<Program, number | null>> = {};
    try {
      await this.dismissGuests();
      for (const [program, running] of [...this.#hosts].reverse())
        codes[program] = (await running.stop()).code;
      return codes;
    } finally {
      await this.abandon();
    }
  }

  /** Kills everything that is left. */
  async abandon(): Promise<void> {
    await this.dismissGuests();
    await Promise.all([...this.#hosts.values()].map((running) => running.kill("SIGKILL")));
    await this.security.remove();
  }

  async #host(
    program: "registry" | "nsmgr" | "forwarder",
    args: readonly string[],
    listenOn = "tcp://127.0.0.1:0",
  ): Promise<void> {
    const all = [...args, "--listen-on", listenOn];
    this.#hosts.set(program, await this.#start(program, program, program, all));
  }

  async #guest(
    program: "nse" | "nsc",
    role: string,
    name: string,
    args: readonly string[],
  ): Promise<RunningProcess> {
    const all = ["--connect-to", this.url("nsmgr"), ...args];
    return this.#add(await this.#start(program, role, name, all));
  }

  #start(program: Program, role: string, name: string, args: readonly string[]): Promise<RunningProcess> {
    const all = ["--name", name, ...this.security.args(role), ...args];
    if (this.makers[program] === "go") return goPeer(program, all);
    return ourProgram(program, [...all, ...withoutKernel[program]]);
  }

  #add(guest: RunningProcess): RunningProcess {
    this.#guests.push(guest);
    return guest;
  }
}

function urlOf(running: RunningProcess): string {
  const [url] = running.listenOn;
  if (url === undefined) throw new Error(`${running.name} serves on nothing`);
  return url;
}
