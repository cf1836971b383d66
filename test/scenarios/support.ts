import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startProcess, type RunningProcess } from "../../src/testing/processes.js";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** The arguments that run a program of the built package. */
export function command(program: string, args: readonly string[]): string[] {
  if (!existsSync(main)) throw new Error(`${main} is missing: run "npm run build" first`);
  return [main, "run", program, ...args];
}

/** What a program that ends by itself leaves: its exit code and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program that is expected to end. */
export function runToEnd(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command(program, args), { env: { ...process.env, ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += String(data)));
    child.stderr.on("data", (data) => (stderr += String(data)));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** A mesh of real processes on unix sockets, control plane only, that a test may kill one by one. */
export class ProcessMesh {
  private readonly folder = mkdtempSync(join(tmpdir(), "nsm-scenario-"));
  private readonly running = new Map<
    string,
    { process: RunningProcess; start: () => Promise<RunningProcess> }
  >();

  static async start(): Promise<ProcessMesh> {
    const mesh = new ProcessMesh();
    await mesh.run("registry", "registry", []);
    await mesh.run("nsmgr", "nsmgr", ["--registry", mesh.url("registry")]);
    await mesh.run("forwarder", "forwarder", ["--control-plane-only", "--connect-to", mesh.url("nsmgr")]);
    return mesh;
  }

  url(name: string): string {
    return `unix://${join(this.folder, `${name}.sock`)}`;
  }

  endpoint(name: string, service: string): Promise<RunningProcess> {
    const args = ["--control-plane-only", "--service", service, "--cidr", "10.0.0.0/24"];
    return this.run(name, "nse", [...args, "--connect-to", this.url("nsmgr")]);
  }

  client(name: string, service: string, more: readonly string[] = []): Promise<RunningProcess> {
    const args = ["--control-plane-only", "--request", `kernel://${service}/nsm-1`, ...more];
    return this.run(name, "nsc", [...args, "--connect-to", this.url("nsmgr")]);
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

  private async run(name: string, program: string, args: readonly string[]): Promise<RunningProcess> {
    const listen = program === "nsc" ? [] : ["--listen-on", this.url(name)];
    const port = await freePort();
    this.ports.set(name, port);
    const all = ["--insecure", "--name", name, "--metrics", `127.0.0.1:${port}`, ...listen, ...args];
    const start = (): Promise<RunningProcess> =>
      startProcess({ command: process.execPath, args: command(program, all), name });
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

/** Repeats a question until its answer is the one wanted: for what other processes do in their own time. */
export async function becomes<T>(ask: () => Promise<T>, wanted: T, withinMs = 20_000): Promise<void> {
  const until = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer === wanted) return;
    if (Date.now() > until)
      throw new Error(`still ${String(answer)} after ${withinMs} ms, wanted ${String(wanted)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
