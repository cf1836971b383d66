import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command, expectEventually, ProcessMesh, runToEnd } from "./support.js";

let folder: string;
let mesh: ProcessMesh | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nsm-early-"));
});
afterEach(async () => {
  await mesh?.stop();
  mesh = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe("a program that ends early", () => {
  test.each(["nse", "forwarder"])(
    "on a signal while the %s waits for its manager is immediate and clean, without its socket",
    async (program) => {
      const socket = join(folder, "own.sock");
      const service = program === "nse" ? ["--service", "s"] : [];
      const args = ["--insecure", "--control-plane-only", ...service];
      const reaching = ["--listen-on", `unix://${socket}`, "--connect-to", `unix://${folder}/nobody.sock`];
      const child = spawn(process.execPath, command(program, [...args, ...reaching]), { stdio: "ignore" });
      try {
        // It serves before it registers.
        await expectEventually(() => Promise.resolve(existsSync(socket)), true);
        const stoppedAt = Date.now();
        child.kill("SIGTERM");
        expect(await once(child, "exit")).toEqual([0, null]);
        expect(Date.now() - stoppedAt).toBeLessThan(5_000);
        expect(existsSync(socket)).toBe(false);
      } finally {
        child.kill("SIGKILL");
      }
    },
  );

  test("because its metrics have no port takes its registration and its socket back", async () => {
    mesh = await ProcessMesh.start();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const socket = join(folder, "own.sock");
    const args = ["--insecure", "--control-plane-only", "--service", "firewall", "--metrics", address];
    const reaching = ["--listen-on", `unix://${socket}`, "--connect-to", mesh.url("nsmgr")];
    const { code, stderr } = await runToEnd("nse", [...args, ...reaching]);
    await new Promise((resolve) => other.close(resolve));
    expect(code).toBe(1);
    expect(stderr).toContain(address);
    expect(existsSync(socket)).toBe(false);
    const nsc = await mesh.client("nsc", "firewall");
    const failed = await nsc.events.next("failed");
    expect((failed.error as { message: string }).message).toContain("0 registered");
  });

  test("because a connection can never be established takes one line, while its metrics are being set up", async () => {
    // A registry knows registrations, and nothing of connections.
    mesh = await ProcessMesh.start();
    const args = ["--insecure", "--control-plane-only", "--connect-to", mesh.url("registry")];
    const requestArgs = ["--request", "kernel://firewall/nsm-1", "--metrics", "127.0.0.1:0"];
    const { code, stderr } = await runToEnd("nsc", [...args, ...requestArgs]);
    expect(code).toBe(1);
    const lines = stderr
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("{"));
    expect(lines).toEqual([expect.stringContaining(mesh.url("registry"))]);
  });
});
