import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Readable } from "node:stream";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { authority } from "../../src/identity/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { command, expectEventually } from "./support.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let registry: RunningProcess | undefined;
const others: RunningProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-readme-"));
});
afterEach(async () => {
  for (const other of others.splice(0).reverse()) await other.stop();
  await registry?.stop();
  registry = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** A program of the README as a file that Node runs, with the addresses and files of this test. */
function programOfReadme(call: "serveEndpoint" | "connectService", manager: string): string {
  const blocks = readFileSync(join(root, "README.md"), "utf8").matchAll(/^```ts\n([\s\S]*?)^```$/gm);
  const source = [...blocks].map(([, text]) => text!).find((text) => text.includes(`${call}(`))!;
  const here = source
    .replaceAll('"nsm-sdk"', JSON.stringify(pathToFileURL(join(root, "dist/index.js")).href))
    .replace("unix:///var/lib/networkservicemesh/nsm.io.sock", manager)
    .replace("unix:///tmp/nse-1/listen.sock", `unix://${join(folder, "nse-1.sock")}`)
    .replace("/etc/nsm/", `${folder}/`);
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const file = join(folder, `${call}.mjs`);
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

    const endpoint = spawn(process.execPath, [programOfReadme("serveEndpoint", url)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const exited = once(endpoint, "exit");
      const logged = (message: string): Promise<void> =>
        expectEventually(() => Promise.resolve(registry!.stderr.includes(`"msg":"${message}"`)), true);
      await once(endpoint.stdout, "data");
      await logged("registered");
      const stoppedAt = Date.now();
      endpoint.kill(signal);
      expect(await exited).toEqual([0, null]);
      expect(Date.now() - stoppedAt).toBeLessThan(10_000);
      await logged("unregistered");
    } finally {
      endpoint.kill("SIGKILL");
    }
  });
});

describe("the client of the README", () => {
  test("connects to the endpoint of the README, reports the addresses and closes the connection", async () => {
    const { issue } = await authority({ trustDomain: "example.org" });
    for (const name of ["registry", "nsmgr", "forwarder", "nse-1", "nsc-1"]) {
      await (await issue({ path: `/${name}` })).writeTo(join(folder, name));
    }
    const url = (name: string): string => `unix://${join(folder, `${name}.sock`)}`;
    const run = async (name: string, args: readonly string[]): Promise<RunningProcess> => {
      const all = ["--name", name, "--identity", `files=${join(folder, name)}`, "--listen-on", url(name)];
      return startProcess({ command: process.execPath, args: command(name, [...all, ...args]) });
    };
    registry = await run("registry", []);
    others.push(await run("nsmgr", ["--registry", url("registry")]));
    others.push(await run("forwarder", ["--connect-to", url("nsmgr")]));
    // Each in a network namespace of its own, which ends with it.
    const start = (program: string): ChildProcessByStdio<null, Readable, null> =>
      spawn("unshare", ["-n", process.execPath, program], { stdio: ["ignore", "pipe", "inherit"] });

    const endpoint = start(programOfReadme("serveEndpoint", url("nsmgr")));
    try {
      await once(endpoint.stdout, "data");
      const client = start(programOfReadme("connectService", url("nsmgr")));
      let printed = "";
      client.stdout.on("data", (text) => (printed += String(text)));
      expect(await once(client, "close")).toEqual([0, null]);
      expect(printed.trim().split("\n")).toEqual([
        "established",
        "connected as 10.0.0.1/32 to 10.0.0.0/32",
        "over nsc-1, nsmgr, forwarder, nse-1",
        "closed",
        "started",
      ]);
      const exited = once(endpoint, "exit");
      endpoint.kill("SIGTERM");
      expect(await exited).toEqual([0, null]);
    } finally {
      endpoint.kill("SIGKILL");
    }
  });
});
