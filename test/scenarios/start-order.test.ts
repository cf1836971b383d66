import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newNamespace } from "../../src/linux/index.js";
import { lockDirectory } from "../../src/linux/lock-directory.js";
import { command, runToEnd } from "./support.js";

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-order-"));
});
afterEach(async () => {
  for (const child of children.splice(0).reverse()) {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
  rmSync(folder, { recursive: true, force: true });
});

const url = (name: string): string => `unix://${join(folder, `${name}.sock`)}`;

/** What a process has written, and a wait for more of it. */
class Output {
  text = "";
  constructor(private readonly stream: NodeJS.ReadableStream) {
    stream.setEncoding("utf8").on("data", (data: string) => (this.text += data));
  }
  async has(wanted: RegExp): Promise<string> {
    while (!wanted.test(this.text)) await once(this.stream, "data");
    return this.text;
  }
}

function start(program: string, args: readonly string[]) {
  const all = ["--insecure", "--name", program, ...args];
  const child = spawn(process.execPath, command(program, all), { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  return { stdout: new Output(child.stdout), stderr: new Output(child.stderr) };
}

describe("programs that are started in the wrong order", () => {
  test("log what they wait for, and are ready once it is there", async () => {
    const control = ["--control-plane-only", "--connect-to", url("nsmgr")];
    const nsc = start("nsc", [...control, "--request", "kernel://web/nsm-1"]);
    const nse = start("nse", [...control, "--service", "web", "--listen-on", url("nse")]);
    const forwarder = start("forwarder", [...control, "--listen-on", url("forwarder")]);
    const manager = new RegExp(`"reason":"[^"]+","msg":"waiting for the manager at ${url("nsmgr")}"`);
    for (const { stderr } of [nsc, nse, forwarder]) await stderr.has(manager);

    const nsmgr = start("nsmgr", ["--listen-on", url("nsmgr"), "--registry", url("registry")]);
    await nsmgr.stderr.has(
      new RegExp(`"reason":"[^"]+","msg":"waiting for the registry at ${url("registry")}"`),
    );
    for (const { stdout } of [nsc, nse, forwarder, nsmgr]) expect(stdout.text).not.toContain('"ready"');

    start("registry", ["--listen-on", url("registry")]);
    for (const { stdout } of [nsmgr, forwarder, nse, nsc]) await stdout.has(/"ready":true/);
    await nsc.stdout.has(/"established"/);
    expect(nsmgr.stderr.text).toContain(`the registry at ${url("registry")} answered`);
  });
});

describe("a forwarder is not ready", () => {
  test("without the privilege to make interfaces", async () => {
    const args = ["--insecure", "--connect-to", url("nsmgr")];
    const without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    const { code, stdout, stderr } = await runToEnd("forwarder", args, {}, without);
    expect(stderr).toMatch(/lacks CAP_NET_ADMIN and CAP_SYS_ADMIN/);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("when its state directory cannot be written", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const args = ["--insecure", "--connect-to", url("nsmgr"), "--state-dir", join(file, "state")];
    const { code, stdout, stderr } = await runToEnd("forwarder", args);
    expect(stderr).toContain(`--state-dir "${join(file, "state")}" is not writable`);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("when another forwarder has its state directory", async () => {
    const release = lockDirectory(folder)!;
    const args = ["--insecure", "--connect-to", url("nsmgr"), "--state-dir", folder];
    const { code, stdout, stderr } = await runToEnd("forwarder", args);
    release();
    expect(stderr).toContain(`--state-dir "${folder}" is in use by another process`);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("without the native module, and reports how to install it", async () => {
    const missing = `import Module from "node:module";
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (name, ...rest) {
        if (name === "koffi") throw new Error("Cannot find module 'koffi'\\nRequire stack:\\n- a.js");
        return resolve.call(this, name, ...rest);
      };`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(missing)}` };
    const { code, stderr } = await runToEnd("forwarder", ["--insecure", "--connect-to", url("nsmgr")], env);
    const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
    expect(lines).toEqual([expect.stringContaining("npm install --include=optional")]);
    expect(code).toBe(1);
  });

  test("when it is to work in another network namespace", async () => {
    const other = newNamespace();
    const args = ["--insecure", "--connect-to", url("nsmgr"), "--netns", other.path];
    const { code, stdout, stderr } = await runToEnd("forwarder", args);
    expect(stderr).toContain(`--netns "${other.path}" has no effect on a forwarder`);
    other.close();
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});
