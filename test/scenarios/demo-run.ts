import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DemoReport } from "../../src/cli/demo/index.js";
import { currentNamespace, netlinkIn } from "../../src/linux/index.js";

/** The built `nsmctl` that is tried: this checkout's, unless NSMCTL_MAIN names another, such as an installed one. */
const main = process.env.NSMCTL_MAIN ?? fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A demo that runs, or ran. */
export interface DemoRun {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when this was printed on stderr. */
  seen(text: string): Promise<void>;
}

/** Runs demos with a directory for temporary files of their own, which separates their leftovers from those of others. */
export class DemoGround {
  readonly directory = mkdtempSync(join(tmpdir(), "nsm-demo-test-"));
  readonly #running: ChildProcess[] = [];

  /** Starts `nsmctl demo`; `prefix` runs it under another program. */
  async start(args: readonly string[], prefix: readonly string[] = []): Promise<DemoRun> {
    if (!existsSync(main)) throw new Error(`${main} is missing: run "npm run build" first`);
    await chmod(this.directory, 0o1777); // for any user that the demo runs as
    const [command, ...rest] = [...prefix, process.execPath, main, "demo", ...args];
    const child = spawn(command!, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: this.directory, NSM_LABELS: "of=another,program" },
    });
    this.#running.push(child);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal!));
    });
    return {
      child,
      stdout: () => stdout,
      stderr: () => stderr,
      ended,
      async seen(text) {
        const arrived = new Promise<void>((resolve) => {
          child.stderr.on("data", () => void (stderr.includes(text) && resolve()));
        });
        const over = ended.then(() => {
          throw new Error(`the demo ended before it printed "${text}": ${stderr}`);
        });
        if (!stderr.includes(text)) await Promise.race([arrived, over]);
      },
    };
  }

  /** Temporary files and processes of demos that were run here. */
  leftovers(): readonly string[] {
    return [...readdirSync(this.directory), ...this.processes()];
  }

  /** The command lines of processes that have to do with the directory, but not this one. */
  processes(containing = ""): readonly string[] {
    return this.#commands(containing).map(([, command]) => command);
  }

  /** The pid of the one process whose command line contains this. */
  pidOf(containing: string): number {
    const found = this.#commands(containing);
    if (found.length !== 1) throw new Error(`${found.length} processes with "${containing}"`);
    return found[0]![0];
  }

  /** Kills what a failed test left, and removes the directory. */
  clear(): void {
    for (const child of this.#running) child.kill("SIGKILL");
    for (const [pid] of this.#commands("")) process.kill(pid, "SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  #commands(containing: string): [pid: number, command: string][] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map((pid): [number, string] => [Number(pid), commandLine(pid)])
      .filter(([, command]) => command.includes(this.directory) && command.includes(containing));
  }
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // it ended while we looked
  }
}

/** The one object on stdout; fails when there is anything else. */
export function reportOf(run: DemoRun): DemoReport {
  const lines = run.stdout().split("\n");
  if (lines.length !== 2 || lines[1] !== "") throw new Error(`stdout is not one line: ${run.stdout()}`);
  return JSON.parse(lines[0]!) as DemoReport;
}

/** The interfaces of the namespace that the tests run in. */
export async function interfaces(): Promise<readonly string[]> {
  const home = currentNamespace();
  try {
    return (await netlinkIn(home).links()).map(({ name, index }) => `${index} ${name}`);
  } finally {
    home.close();
  }
}

/**
 * What runs a command as a user without any privilege: another user where there is one that can read the
 * program, else one of a user namespace, to whom the files here are still readable.
 */
export function asOrdinaryUser(): readonly string[] {
  const unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const [command, ...args] = [...unprivileged, "test", "-r", main];
  if (spawnSync(command!, args).status === 0) return unprivileged;
  return ["unshare", "--map-user=65534", "--map-group=65534"];
}

/** Runs a command in a user namespace without a mapping for its user, which may not create further namespaces. */
export const unmappedUser: readonly string[] = ["unshare", "-U"];
