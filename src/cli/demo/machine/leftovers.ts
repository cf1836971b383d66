import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { currentNamespace, netlinkIn } from "../../../linux/index.js";

/** How a forwarder marks the two ends of the client's wire. */
const MARK = /^(client|server)-nsc-\d+-0$/;

/** What was made on this machine and must be gone. */
export interface MadeThings {
  readonly directory: string;
  /** The links of the demo's own namespace before it began. */
  readonly linksBefore: readonly string[];
  readonly pids: number[];
  /** `net:[4026532601]` */
  readonly namespaces: string[];
}

/** Names, one sentence each, what is still there. */
export async function leftovers(made: MadeThings): Promise<readonly string[]> {
  const { directory, linksBefore, pids, namespaces } = made;
  const links = (await homeLinks()).filter((link) => !linksBefore.includes(link));
  return [
    ...(existsSync(directory) ? [`directory ${directory}`] : []),
    ...pids.filter(isAlive).map((pid) => `process ${pid}`),
    ...holdersOf(namespaces),
    ...links.map((link) => `interface ${link}`),
  ];
}

/** The interfaces of the demo's wire in the namespace that the demo runs in, where none belongs. */
export async function homeLinks(): Promise<readonly string[]> {
  const home = currentNamespace();
  try {
    const links = await netlinkIn(home).links();
    return links
      .filter(({ alias }) => alias !== undefined && MARK.test(alias))
      .map(({ name, index }) => `${name} (${index})`);
  } finally {
    home.close();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A namespace lives as long as a process is in it or holds it open. */
function holdersOf(namespaces: readonly string[]): string[] {
  const wanted = new Set(namespaces);
  if (wanted.size === 0) return [];
  const found = entries("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const files = [
        `/proc/${pid}/ns/net`,
        ...entries(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`),
      ];
      const held = new Set(files.map(target).filter((name) => name !== undefined && wanted.has(name)));
      return [...held].map((name) => `network namespace ${name} held by process ${pid}`);
    });
  return found;
}

// Processes end while we look, and those of others may not be looked at.
function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function target(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    return undefined;
  }
}
