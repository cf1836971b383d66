import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Code, NsmError } from "../../../core/index.js";
import { authority } from "../../../identity/index.js";
import { netlinkIn, newNamespace, type NetworkNamespace } from "../../../linux/index.js";
import { startProcess, type RunningProcess } from "../../../programs/child/process.js";
import { guard, type Guard } from "./guard.js";
import { homeLinks, leftovers, type MadeThings } from "./leftovers.js";

/** The executable of the programs: this one. */
const main = fileURLToPath(new URL("../../main.js", import.meta.url));

/** How to start a program of the mesh. */
export interface ProgramOptions {
  /** The name in the path, also used for its directory of certificates. */
  readonly name: string;
  /** The program name for `nsmctl run`. */
  readonly program: string;
  readonly args: readonly string[];
  /** The namespace to start in. Default: the demo's own namespace. */
  readonly namespace?: NetworkNamespace;
}

/**
 * The resources that the demo creates on this machine: a directory, network namespaces and processes.
 * cleanUp() removes all of them, in any state.
 */
export class Machine {
  readonly #namespaces: NetworkNamespace[] = [];
  readonly #resources: (() => Promise<void>)[] = [];
  readonly #started: Promise<RunningProcess>[] = [];
  readonly #running = new Set<number>();
  readonly #made: MadeThings;
  #cleanedUp: Promise<readonly string[]> | undefined;

  private constructor(
    readonly directory: string,
    private readonly guard: Guard,
    linksBefore: readonly string[],
  ) {
    this.#made = { directory, linksBefore, pids: [], namespaces: [] };
  }

  static async open(): Promise<Machine> {
    // The user's NSM_ variables must not affect the demo's programs.
    for (const name of Object.keys(process.env)) if (name.startsWith("NSM_")) delete process.env[name];
    const linksBefore = await homeLinks();
    const directory = await mkdtemp(join(tmpdir(), "nsm-demo-"));
    return new Machine(directory, guard(directory), linksBefore);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** The address at which a program listens. */
  url(name: string): string {
    return `unix://${this.path(`${name}.sock`)}`;
  }

  /** Issues a certificate for each name, from one new authority. */
  async identify(trustDomain: string, names: readonly string[]): Promise<void> {
    const ca = await authority({ trustDomain });
    for (const name of names) await (await ca.issue({ path: `/${name}` })).writeTo(this.path(name));
  }

  /** Creates a network namespace with its loopback up. */
  async namespace(): Promise<NetworkNamespace> {
    this.#assertStands("no namespace is made");
    const made = newNamespace();
    this.#namespaces.push(made);
    this.#made.namespaces.push(made.name);
    await netlinkIn(made).setLink("lo", { up: true });
    return made;
  }

  /** Registers a resource that holds a namespace open, to be closed during cleanup. */
  keep<T>(resource: T, close: (resource: T) => void | Promise<void>): T {
    // The resource was created after the cleanup had started.
    if (this.#cleanedUp) void close(resource);
    this.#resources.push(async () => close(resource));
    return resource;
  }

  /** Starts `nsmctl run <program>` with its certificate. Resolves when the program is ready. */
  async start({ name, program, args, namespace }: ProgramOptions): Promise<RunningProcess> {
    this.#assertStands(`${name} is not started`);
    let pid = 0;
    const identity = ["--name", name, "--identity", `files=${this.path(name)}`, "--log-level", "error"];
    const starting = startProcess({
      command: process.execPath,
      args: [main, "run", program, ...identity, ...args],
      name,
      namespace,
      ownGroup: true,
      onStart: (started) => this.#watch((pid = started)),
    });
    this.#started.push(starting);
    const ended = (): void => this.#forget(pid);
    starting.then((running) => running.exited.then(ended), ended);
    return starting;
  }

  /**
   * Ends all remaining programs, removes everything, and describes what is left. Can be called more than
   * once.
   */
  cleanUp(): Promise<readonly string[]> {
    return (this.#cleanedUp ??= this.#cleanUp());
  }

  async #cleanUp(): Promise<readonly string[]> {
    for (const pid of this.#running) kill(pid);
    for (const started of await Promise.allSettled(this.#started)) {
      if (started.status === "fulfilled") await started.value.exited;
    }
    await Promise.all(this.#resources.map((close) => close()));
    for (const namespace of this.#namespaces) namespace.close();
    await rm(this.directory, { recursive: true, force: true });
    await this.guard.dismiss();
    return leftovers(this.#made);
  }

  #assertStands(refusal: string): void {
    if (this.#cleanedUp) throw new NsmError(Code.Cancelled, `${refusal}: the demo is over`);
  }

  #watch(pid: number): void {
    this.#running.add(pid);
    this.#made.pids.push(pid);
    this.guard.watch(pid);
  }

  #forget(pid: number): void {
    this.#running.delete(pid);
    this.guard.forget(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // The process has ended already. Its output is still being read.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
