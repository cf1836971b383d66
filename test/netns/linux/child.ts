import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** How a child process ended and what it printed. */
export interface ChildResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Loads a TypeScript module as vitest would, in a process that is not vitest's. */
const loader = `
  import { createServer } from "vite";
  const [root, file] = process.argv.slice(1);
  const server = await createServer({
    configFile: false, root, logLevel: "error", optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, watch: null, ws: false },
  });
  try { await server.ssrLoadModule(file); } finally { await server.close(); }`;

/**
 * Runs a module of `children/` in a process of its own, for what this one must not do or may not be: lose
 * its privilege, or end. `prefix` is a command that starts it: `["setpriv", "--bounding-set=-all"]`.
 * An inherited descriptor is number 3 there.
 */
export async function runChild(
  name: string,
  { prefix = [], inherit }: { prefix?: readonly string[]; inherit?: number } = {},
): Promise<ChildResult> {
  const file = fileURLToPath(new URL(`children/${name}.ts`, import.meta.url));
  const line = [...prefix, process.execPath, "--input-type=module", "-e", loader, root, file];
  const child = spawn(line[0]!, line.slice(1), {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe", inherit],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout!.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr!.on("data", (data: Buffer) => (stderr += data.toString()));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { status, stdout, stderr };
}
