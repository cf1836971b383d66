import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command, expectEventually, ProcessMesh } from "./support.js";

let folder: string;
let mesh: ProcessMesh | undefined;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-signals-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await mesh?.stop();
  mesh = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** A registry under its own socket; resolves when it is ready. */
async function startRegistry() {
  const socket = join(folder, "registry.sock");
  const args = ["--insecure", "--listen-on", `unix://${socket}`];
  const child = spawn(process.execPath, command("registry", args), { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const stderr = text(child.stderr);
  await once(child.stdout, "data");
  return { child, socket, stderr };
}

describe("a program", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const)(
    "stops in order on %s and leaves no socket",
    async (signal) => {
      const { child, socket, stderr } = await startRegistry();
      expect(existsSync(socket)).toBe(true);
      child.kill(signal);
      expect(await once(child, "exit")).toEqual([0, null]);
      expect(existsSync(socket)).toBe(false);
      expect(await stderr).toMatch(new RegExp(`"reason":"${signal}","msg":"stopping"`));
    },
  );

  test("stops in order on a signal that comes while it is loading", async () => {
    const loading = join(folder, "registry.sock");
    const args = ["--insecure", "--listen-on", `unix://${loading}`];
    // Speaks when the last handler is installed: what the program is made of is loaded after that.
    const first = `const { on } = process;
      process.on = function (name, listener) {
        const result = on.call(this, name, listener);
        if (name === "SIGUSR2") process.stdout.write("loading");
        return result;
      };`;
    const hook = ["--import", `data:text/javascript,${encodeURIComponent(first)}`];
    const child = spawn(process.execPath, [...hook, ...command("registry", args)], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    children.push(child);
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(existsSync(loading)).toBe(false);
  });

  test("changes its log level on SIGUSR1 and SIGUSR2, reports only that, and opens no debugger", async () => {
    const { child, stderr } = await startRegistry();
    for (const [signal, level] of [
      ["SIGUSR1", "trace"],
      ["SIGUSR2", "info"],
    ] as const) {
      const stderrText = once(child.stderr, "data");
      child.kill(signal);
      expect(String(await stderrText)).toContain(`"logLevel":"${level}"`);
    }
    // Nothing to change: programs may use it for reports of their own.
    child.kill("SIGUSR2");
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
    expect(await stderr).not.toMatch(/debugger/i);
    expect((await stderr).match(/the log level changed/g)).toHaveLength(2);
  });

  test("closes its connections and stops in order when its stdout is closed", async () => {
    mesh = await ProcessMesh.start();
    await mesh.endpoint("nse", "web");
    const args = ["--insecure", "--control-plane-only", "--connect-to", mesh.url("nsmgr")];
    const requestArgs = ["--request", "kernel://web/nsm-1"];
    const child = spawn(process.execPath, command("nsc", [...args, ...requestArgs]), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    const stderr = text(child.stderr);
    const exited = once(child, "exit");
    await expectEventually(() => mesh!.connections("nsmgr"), 1);
    child.stdout.destroy();
    // The next event finds the pipe closed.
    await mesh.replace("nse");
    const [code] = await exited;
    expect(await stderr).toContain('"reason":"stdout was closed","msg":"stopping"');
    expect(await stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(0);
    await expectEventually(() => mesh!.connections("nsmgr"), 0);
  });
});
