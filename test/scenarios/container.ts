import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { NetworkNamespace } from "../../src/linux/index.js";
import { startProcess, type ProcessExit, type RunningProcess } from "../../src/programs/child/process.js";

/** A command, and the folder that only the started process sees. */
export interface ContainerOptions {
  readonly name: string;
  readonly hidden: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Default: the caller's network namespace. */
  readonly namespace?: NetworkNamespace;
}

/**
 * Starts a process in mount and PID namespaces of its own, with a file system of its own on the folder `hidden`: other
 * processes see nothing of what it creates there.
 */
export async function startInContainer(options: ContainerOptions): Promise<RunningProcess> {
  const { name, hidden, command, args, namespace } = options;
  mkdirSync(hidden, { recursive: true });
  const script = 'mount -t tmpfs tmpfs "$0" && exec "$@"';
  const namespaces = ["-m", "-p", "-f", "--mount-proc", "--kill-child"];
  const started = await startProcess({
    command: "unshare",
    args: [...namespaces, "sh", "-c", script, hidden, command, ...args],
    name,
    namespace,
  });
  expect(readdirSync(hidden)).toEqual([]);
  // unshare does not forward signals.
  const pid = Number(readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, "utf8"));
  let ended = false;
  void started.exited.then(() => (ended = true));
  const kill = (signal: NodeJS.Signals): Promise<ProcessExit> => {
    if (!ended) process.kill(pid, signal);
    return started.exited;
  };
  return Object.defineProperty({ ...started, pid, kill, stop: () => kill("SIGTERM") }, "stderr", {
    get: () => started.stderr,
  });
}

/**
 * The sockets that a process has received and holds. Those are descriptors from 1024 on; for a minute, the connection
 * keeps a copy of each with a lower number.
 */
export function socketsHeldBy({ pid }: RunningProcess): number {
  const own = `/proc/${pid}/fd`;
  return readdirSync(own).filter((fd) => {
    try {
      return Number(fd) >= 1_024 && readlinkSync(join(own, fd)).endsWith(".sock");
    } catch {
      return false; // closed meanwhile
    }
  }).length;
}
