import { fileURLToPath } from "node:url";
import { startProcess, type RunningProcess } from "../../../../src/programs/child/process.js";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** Loads a TypeScript module as vitest would, in a process of its own. */
const loader = `
  import { createServer } from "vite";
  const [root, file] = process.argv.slice(1);
  const server = await createServer({
    configFile: false, root, logLevel: "error", optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, watch: null, ws: false },
    resolve: { alias: [
      { find: /^nsm-sdk$/, replacement: root + "src/index.ts" },
      { find: /^nsm-sdk\\/(.*)$/, replacement: root + "src/$1/index.ts" },
    ] },
  });
  try { await server.ssrLoadModule(file); } finally { await server.close(); }`;

/** Starts a program's source, configured by its environment. */
export function startSource(path: string, env: Readonly<Record<string, string>>): Promise<RunningProcess> {
  const file = `${root}${path}`;
  return startProcess({
    command: process.execPath,
    args: ["--input-type=module", "-e", loader, root, file],
    env,
    name: path,
  });
}
