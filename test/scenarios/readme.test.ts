import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { authority } from "../../src/identity/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { becomes, command } from "./support.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let registry: RunningProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-readme-"));
});
afterEach(async () => {
  await registry?.stop();
  registry = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** The endpoint of the README as a file that Node runs, with the addresses and files of this test. */
function endpointOfReadme(manager: string): string {
  const blocks = readFileSync(join(root, "README.md"), "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm);
  const source = [...blocks].map(([, text]) => text!).find((text) => text.includes("serveEndpoint"))!;
  const here = source
    .replaceAll('"nsm-sdk"', JSON.stringify(pathToFileURL(join(root, "dist/index.js")).href))
    .replace("unix:///var/lib/networkservicemesh/nsm.io.sock", manager)
    .replace("unix:///tmp/nse-1/listen.sock", `unix://${join(folder, "nse-1.sock")}`)
    .replace("/etc/nsm/nse-1", join(folder, "nse-1"));
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const file = join(folder, "endpoint.mjs");
  writeFileSync(
    file,
    ts.transpileModule(here, { compilerOptions: options }).outputText + 'console.log("started");\n',
  );
  return file;
}

describe("the endpoint of the README", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("unregisters and ends soon after %s", async (signal) => {
    const { issue } = await authority({ trustDomain: "example.org" });
    for (const name of ["registry", "nse-1"]) {
      mkdirSync(join(folder, name));
      await (await issue({ path: `/${name}` })).writeTo(join(folder, name));
    }
    // A registry takes registrations as a manager does.
    const url = `unix://${join(folder, "registry.sock")}`;
    const args = ["--identity", `files=${join(folder, "registry")}`, "--listen-on", url];
    registry = await startProcess({ command: process.execPath, args: command("registry", args) });

    const endpoint = spawn(process.execPath, [endpointOfReadme(url)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const exited = once(endpoint, "exit");
      const logged = (message: string): Promise<void> =>
        becomes(() => Promise.resolve(registry!.stderr.includes(`"msg":"${message}"`)), true);
      await once(endpoint.stdout, "data");
      await logged("registered");
      const told = Date.now();
      endpoint.kill(signal);
      expect(await exited).toEqual([0, null]);
      expect(Date.now() - told).toBeLessThan(10_000);
      await logged("unregistered");
    } finally {
      endpoint.kill("SIGKILL");
    }
  });
});
