import { spawn, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command, expectEventually, runToEnd } from "./support.js";

let folder: string;
let full: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-full-"));
  full = openSync("/dev/full", "w");
});
afterEach(() => {
  closeSync(full);
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a registry, waits until it serves, and stops it. */
async function serveUntilSigterm(
  stdio: StdioOptions,
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const socket = join(folder, "registry.sock");
  const child = spawn(
    process.execPath,
    command("registry", ["--insecure", "--listen-on", `unix://${socket}`]),
    {
      stdio,
    },
  );
  try {
    const exited = once(child, "exit");
    const outputs = [child.stdout, child.stderr].map((stream) =>
      stream ? text(stream) : Promise.resolve(""),
    );
    await expectEventually(() => accepts(socket), true);
    // A line of the log and a second one, both for a full disk if stderr is.
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) child.kill(signal);
    expect(await accepts(socket)).toBe(true);
    child.kill("SIGTERM");
    const [code] = (await exited) as [number | null];
    const [stdout, stderr] = await Promise.all(outputs);
    return { code, stdout: stdout!, stderr: stderr! };
  } finally {
    child.kill("SIGKILL");
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

describe("a program whose disk is full", () => {
  test("serves on when its log cannot be written", async () => {
    const { code, stdout } = await serveUntilSigterm(["ignore", "pipe", full]);
    expect(stdout).toContain('"ready":true');
    expect(code).toBe(0);
  });

  test("serves on when its stdout cannot be written, and logs the reason", async () => {
    const { code, stderr } = await serveUntilSigterm(["ignore", full, "pipe"]);
    expect(stderr).toMatch(/"error":"ENOSPC.*"msg":"stdout cannot be written: a line was lost"/);
    expect(stderr).toContain('"reason":"SIGTERM"');
    expect(code).toBe(0);
  });

  test("reports it before it is ready if the disk holds its state directory", async () => {
    const fill = `mount -t tmpfs -o size=64k none ${folder} && head -c 1M /dev/zero > ${folder}/rest 2>/dev/null; exec "$@"`;
    const through = ["unshare", "-Urnm", "sh", "-c", fill, "sh"];
    const state = ["--state-dir", folder, "--connect-to", `unix://${folder}/nobody.sock`];
    const { code, stderr } = await runToEnd("forwarder", ["--insecure", ...state], {}, through);
    expect(stderr).toContain(`--state-dir "${folder}" is not writable`);
    expect(code).toBe(1);
  });
});
