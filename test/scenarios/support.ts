import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { NetworkNamespace } from "../../src/linux/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** The arguments that run a program of the built package. */
export function command(program: string, args: readonly string[]): string[] {
  if (!existsSync(main)) throw new Error(`${main} is missing: run "npm run build" first`);
  return [main, "run", program, ...args];
}

/** What a program that ends by itself leaves: its exit code and its output. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program that is expected to end. `through` is a command that starts it, such as `setpriv …`. */
export function runToEnd(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
  through: readonly string[] = [],
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const [first, ...rest] = [...through, process.execPath, ...command(program, args)];
    const child = spawn(first!, rest, { env: { ...process.env, ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += String(data)));
    child.stderr.on("data", (data) => (stderr += String(data)));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Whether the mesh wires in the kernel, and where the two ends are then. */
export interface Kernel {
  readonly client: NetworkNamespace;
  readonly endpoint: NetworkNamespace;
}

/** A mesh of real processes on unix sockets that a test may kill one by one; control plane only without a kernel. */
export class ProcessMesh {
  private readonly folder = mkdtempSync(join(tmpdir(), "nsm-scenario-"));
  private readonly running = new Map<
    string,
    { process: RunningProcess; start: () => Promise<RunningProcess> }
  >();

  private constructor(private readonly kernel: Kernel | undefined) {}

  static async start(kernel?: Kernel): Promise<ProcessMesh> {
    const mesh = new ProcessMesh(kernel);
    await mesh.run("registry", "registry", []);
    await mesh.run("nsmgr", "nsmgr", ["--registry", mesh.url("registry")]);
    const wiring = kernel ? ["--state-dir", join(mesh.folder, "state")] : ["--control-plane-only"];
    await mesh.run("forwarder", "forwarder", [...wiring, "--connect-to", mesh.url("nsmgr")]);
    return mesh;
  }

  url(name: string): string {
    return `unix://${join(this.folder, `${name}.sock`)}`;
  }

  endpoint(name: string, service: string): Promise<RunningProcess> {
    const args = [...this.end, "--service", service, "--cidr", "10.0.0.0/24"];
    return this.run(name, "nse", [...args, "--connect-to", this.url("nsmgr")], this.kernel?.endpoint);
  }

  client(name: string, service: string, more: readonly string[] = []): Promise<RunningProcess> {
    const args = [...this.end, "--request", `kernel://${service}/nsm-1`, ...more];
    return this.run(name, "nsc", [...args, "--connect-to", this.url("nsmgr")], this.kernel?.client);
  }

  /** Kills a process with SIGKILL and starts it again, with nothing remembered, at the same address. */
  async replace(name: string): Promise<void> {
    const { process, start } = this.running.get(name)!;
    await process.kill("SIGKILL");
    this.running.set(name, { process: await start(), start });
  }

  get(name: string): RunningProcess {
    return this.running.get(name)!.process;
  }

  /** How many connections a process holds, by its metrics. */
  async connections(name: string): Promise<number> {
    const port = this.ports.get(name)!;
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const held = /^nsm_held\{element="begin\/server",kind="connections"\} (\d+)$/m.exec(text);
    return Number(held?.[1] ?? 0);
  }

  async stop(): Promise<void> {
    for (const { process } of [...this.running.values()].reverse()) await process.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private readonly ports = new Map<string, number>();

  /** Flags of client and endpoint. */
  private get end(): readonly string[] {
    return this.kernel ? [] : ["--control-plane-only"];
  }

  private async run(
    name: string,
    program: string,
    args: readonly string[],
    namespace?: NetworkNamespace,
  ): Promise<RunningProcess> {
    const listen = program === "nsc" ? [] : ["--listen-on", this.url(name)];
    // A process in another namespace serves its metrics there, where no test reads them.
    const port = namespace ? undefined : await freePort();
    if (port !== undefined) this.ports.set(name, port);
    const metrics = port === undefined ? [] : ["--metrics", `127.0.0.1:${port}`];
    const all = ["--insecure", "--name", name, ...metrics, ...listen, ...args];
    const start = (): Promise<RunningProcess> =>
      startProcess({ command: process.execPath, args: command(program, all), name, namespace });
    const started = await start();
    this.running.set(name, { process: started, start });
    return started;
  }
}

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Reads the state of another process until it is the expected one. */
export async function expectEventually<T>(read: () => Promise<T>, expected: T): Promise<void> {
  await expect.poll(read, { timeout: 60_000 }).toBe(expected);
}
