import { spawn, type ChildProcess, type SpawnOptionsWithStdioTuple } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Code, NsmError } from "../../core/index.js";
import type { NetworkNamespace } from "../../linux/index.js";
import { JsonEvents, type ProcessEvent } from "./json-events.js";

export { JsonEvents, type EventMatch, type ProcessEvent } from "./json-events.js";

/** Options of {@link startProcess}. */
export interface ProcessOptions {
  readonly command: string;
  readonly args?: readonly string[];
  /** Variables added to the caller's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Name of the process in errors. Default: the command and its first argument. */
  readonly name?: string;
  /** Time limit for the ready line, in milliseconds. Default: 60,000, enough for a busy machine. */
  readonly readyTimeoutMs?: number;
  /** The network namespace to start in. Default: the caller's. */
  readonly namespace?: NetworkNamespace | undefined;
  /**
   * Whether to start in an own process group, which Ctrl-C in the terminal does not reach. Default: false.
   */
  readonly ownGroup?: boolean;
  /** Called with the pid immediately, long before the process is ready. */
  readonly onStart?: (pid: number) => void;
}

/** How a process ended: with an exit code, or by a signal. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that has reported ready. */
export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** The URLs from its ready line. */
  readonly listenOn: readonly string[];
  /** The JSON lines after the ready line. */
  readonly events: JsonEvents;
  /** Everything written to stderr so far. */
  readonly stderr: string;
  readonly exited: Promise<ProcessExit>;
  /** Sends a signal and waits for the exit. Does nothing if the process has exited. */
  kill(signal: NodeJS.Signals): Promise<ProcessExit>;
  /**
   * Sends SIGTERM and waits for the exit.
   *
   * @throws NsmError DEADLINE_EXCEEDED if the process still runs after `graceMs` (default: 10,000); it is
   * then killed
   */
  stop(options?: { graceMs?: number }): Promise<ProcessExit>;
}

const alive = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of alive) child.kill("SIGKILL");
};

/**
 * Starts a program and resolves when it is ready. A server prints `{"ready":true,"listenOn":[…]}`; other
 * programs print a first `{"event":…}`. The program is killed when the calling process ends.
 *
 * @throws NsmError UNAVAILABLE with its stderr if it ends earlier, DEADLINE_EXCEEDED if it prints nothing in
 * time
 *
 * @example
 * import { startProcess } from "./process.js";
 *
 * const registry = await startProcess({
 *   command: "node",
 *   args: ["dist/cli/main.js", "run", "registry", "--insecure"],
 * });
 * await registry.stop();
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const { command, args = [], readyTimeoutMs = 60_000 } = options;
  const name = options.name ?? [command, ...args.slice(0, 1)].join(" ");
  const child = spawnChild(options);
  alive.add(child);
  if (child.pid !== undefined) options.onStart?.(child.pid);
  if (!process.listeners("exit").includes(killAll)) process.on("exit", killAll);

  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const describe = () => (stderr === "" ? name : `${name} (stderr: ${stderr.trim().slice(-2_000)})`);
  const events = new JsonEvents(describe);
  const ready = readyLine(child, events, { name, describe, timeoutMs: readyTimeoutMs });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("close", (code, signal) => {
      alive.delete(child);
      resolve({ code, signal });
    });
  });

  const listenOn = await ready;
  return {
    name,
    listenOn,
    pid: child.pid!,
    events,
    exited,
    get stderr() {
      return stderr;
    },
    kill(signal) {
      child.kill(signal);
      return exited;
    },
    async stop({ graceMs = 10_000 } = {}) {
      child.kill("SIGTERM");
      let late: NodeJS.Timeout | undefined;
      const tooLate = new Promise<"late">((resolve) => {
        late = setTimeout(() => resolve("late"), graceMs);
      });
      const ended = await Promise.race([exited, tooLate]);
      clearTimeout(late);
      if (ended !== "late") return ended;
      child.kill("SIGKILL");
      await exited;
      throw new NsmError(Code.DeadlineExceeded, `${describe()} did not end within ${graceMs} ms of SIGTERM`);
    },
  };
}

function spawnChild({ command, args = [], env, namespace, ownGroup = false }: ProcessOptions) {
  const options: SpawnOptionsWithStdioTuple<"ignore", "pipe", "pipe"> = {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: ownGroup,
  };
  const start = () => spawn(command, args, options);
  return namespace ? namespace.run(start) : start();
}

/** Reads the events of a process. Resolves with the URLs of its ready line, or at its first event with none. */
function readyLine(
  child: ReturnType<typeof spawnChild>,
  events: JsonEvents,
  { name, describe, timeoutMs }: { name: string; describe: () => string; timeoutMs: number },
): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const ready = new Promise<readonly string[]>((resolve, reject) => {
    timer = setTimeout(() => {
      const text = `${describe()} printed no ready line within ${timeoutMs} ms${processorTime(child)}`;
      child.kill("SIGKILL");
      reject(new NsmError(Code.DeadlineExceeded, text));
    }, timeoutMs);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const printed = parse(line);
      if (printed?.ready === true) resolve(strings(printed.listenOn));
      else if (typeof printed?.event === "string") {
        events.push(printed as ProcessEvent);
        resolve([]);
      }
    });
    child.once("error", (cause) => {
      alive.delete(child);
      reject(new NsmError(Code.Unavailable, `${name} cannot be started`, { cause }));
    });
    // "close" follows "exit" after all output has been read.
    child.once("close", (code, signal) => {
      const how = `ended with ${signal ?? `code ${code}`}`;
      events.end(how);
      reject(new NsmError(Code.Unavailable, `${describe()} ${how} before it was ready`));
    });
  });
  return ready.finally(() => clearTimeout(timer));
}

/** The processor time of a process, as text. It distinguishes a waiting process from a starved one. */
function processorTime({ pid }: ChildProcess): string {
  try {
    // proc(5): fields 14 and 15 are user and system time in ticks of 10 ms. The name before them can contain
    // spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return `, in which it used ${(Number(fields[11]) + Number(fields[12])) * 10} ms of processor time`;
  } catch {
    return "";
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // A program may also print other lines.
    return undefined;
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
