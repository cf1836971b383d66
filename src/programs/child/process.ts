import { spawn, type ChildProcess, type SpawnOptionsWithStdioTuple } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Code, NsmError } from "../../core/index.js";
import type { NetworkNamespace } from "../../linux/index.js";
import { JsonEvents, type ProcessEvent } from "./json-events.js";

export { JsonEvents, type EventMatch, type ProcessEvent } from "./json-events.js";

/** What {@link startProcess} starts. */
export interface ProcessOptions {
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the environment of the caller. */
  readonly env?: Readonly<Record<string, string>>;
  /** What errors call it. Default: the command and its first argument. */
  readonly name?: string;
  /** Limit for the ready line, in milliseconds. Default: 60,000, as a busy machine takes its time. */
  readonly readyTimeoutMs?: number;
  /** The network namespace it starts in. Default: the caller's. */
  readonly namespace?: NetworkNamespace | undefined;
  /** In a process group of its own, which a terminal's Ctrl-C does not reach. */
  readonly ownGroup?: boolean;
  /** Called with its pid at once, long before it is ready. */
  readonly onStart?: (pid: number) => void;
}

/** How a process ended: by itself with a code, or by a signal. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that has said it is ready. */
export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** The URLs it serves on, from its ready line. */
  readonly listenOn: readonly string[];
  /** The lines of JSON it prints after the ready line. */
  readonly events: JsonEvents;
  /** What it has written to stderr so far. */
  readonly stderr: string;
  readonly exited: Promise<ProcessExit>;
  /** Sends a signal and waits for the end. Does nothing to a process that is gone. */
  kill(signal: NodeJS.Signals): Promise<ProcessExit>;
  /**
   * Asks it to end (SIGTERM) and waits.
   *
   * @throws NsmError DEADLINE_EXCEEDED when it is still there after `graceMs` (default 10,000); it is killed then
   */
  stop(options?: { graceMs?: number }): Promise<ProcessExit>;
}

const alive = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of alive) child.kill("SIGKILL");
};

/**
 * Starts a program that prints `{"ready":true,"listenOn":[…]}` when it serves, or a first `{"event":…}` when it
 * serves nothing, and resolves then. It is killed with the process that started it.
 *
 * @throws NsmError UNAVAILABLE with its stderr when it ends before, DEADLINE_EXCEEDED when it stays silent
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
  const child = started(options);
  alive.add(child);
  if (child.pid !== undefined) options.onStart?.(child.pid);
  if (!process.listeners("exit").includes(killAll)) process.on("exit", killAll);

  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const described = () => (stderr === "" ? name : `${name} (stderr: ${stderr.trim().slice(-2_000)})`);
  const events = new JsonEvents(described);

  let timer: NodeJS.Timeout | undefined;
  const ready = new Promise<readonly string[]>((resolve, reject) => {
    timer = setTimeout(() => {
      const text = `${described()} printed no ready line within ${readyTimeoutMs} ms${processorTime(child)}`;
      child.kill("SIGKILL");
      reject(new NsmError(Code.DeadlineExceeded, text));
    }, readyTimeoutMs);
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
    // "close", not "exit": by then everything it wrote has been read.
    child.once("close", (code, signal) => {
      const how = `ended with ${signal ?? `code ${code}`}`;
      events.end(how);
      reject(new NsmError(Code.Unavailable, `${described()} ${how} before it was ready`));
    });
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("close", (code, signal) => {
      alive.delete(child);
      resolve({ code, signal });
    });
  });

  const listenOn = await ready.finally(() => clearTimeout(timer));
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
      throw new NsmError(Code.DeadlineExceeded, `${described()} did not end within ${graceMs} ms of SIGTERM`);
    },
  };
}

function started({ command, args = [], env, namespace, ownGroup = false }: ProcessOptions) {
  const options: SpawnOptionsWithStdioTuple<"ignore", "pipe", "pipe"> = {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: ownGroup,
  };
  const start = () => spawn(command, args, options);
  return namespace ? namespace.run(start) : start();
}

/** How much processor time it had, as words: tells a process that waits from one that was given no time. */
function processorTime({ pid }: ChildProcess): string {
  try {
    // proc(5): fields 14 and 15 are user and system time in ticks of 10 ms; the name before them may hold spaces.
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
    // A program may print lines for people too.
    return undefined;
  }
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
