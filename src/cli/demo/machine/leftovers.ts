import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { currentNamespace, netlinkIn } from "../../../linux/index.js";

/** The marks by which the forwarder labels both ends of the client's vWire. */
const MARK = /^(client|server)-nsc-\d+-0$/;

/** What the demo created on this machine and must remove. */
export interface MadeThings {
  readonly directory: string;
  /** The links of the demo's own namespace before it started. */
  readonly linksBefore: readonly string[];
  readonly pids: number[];
  /** Names such as `net:[4026532601]`. */
  readonly namespaces: string[];
}

/** Describes each resource that still exists. */
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

/** The interfaces of the demo's vWire in the demo's own namespace, where none belong. */
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

/** A namespace exists while a process is in it or holds it open. */
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

// Processes can end during the search, and those of other users cannot be inspected.
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
