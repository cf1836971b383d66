import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { authority } from "../../src/identity/index.js";
import { startProcess, type RunningProcess } from "../../src/programs/child/process.js";
import { mesh, type Mesh } from "../../src/testing/index.js";
import { command } from "./support.js";

const built = fileURLToPath(new URL("../../dist/index.js", import.meta.url));

/** Runs a program that connects, as far as it goes by itself. */
async function run(
  { connectTo, identity }: { connectTo: string; identity: string },
  afterwards: string,
): Promise<string> {
  const program = `
    const { connectService, fileIdentity, insecureIdentity } = await import(${JSON.stringify(built)});
    const connected = connectService({
      name: "nsc", service: "firewall", connectTo: ${JSON.stringify(connectTo)}, identity: ${identity},
    });
    connected.events.subscribe(({ type }) => console.log(type));
    await connected.established;
    ${afterwards}`;
  const args = ["--input-type=module", "-e", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout;
}

const pause = "await new Promise((resolve) => setTimeout(resolve, 2_000));";

describe("without certificates", () => {
  let net: Mesh;
  const client = () => ({ connectTo: net.nsmgr.url, identity: "insecureIdentity()" });

  beforeEach(async () => {
    net = await mesh({ transport: "grpc" });
    await net.endpoint({ name: "nse-1", service: "firewall" });
  });

  afterEach(() => net.stop());

  test("a process with an established connection exits when nothing else is left", async () => {
    expect(await run(client(), "")).toBe("established\n");
  }, 30_000);

  test("a process whose connection has been up for a while exits, too", async () => {
    expect(await run(client(), pause)).toBe("established\n");
  }, 30_000);

  test("a process waits for a Close that is under way", async () => {
    expect(await run(client(), "void connected.close();")).toBe("established\nclosed\n");
  }, 30_000);
});

test("a process ends by itself although a descriptor that it polls is ready", async () => {
  const libc = fileURLToPath(new URL("../../dist/linux/libc.js", import.meta.url));
  const program = `
    const { libc } = await import(${JSON.stringify(libc)});
    const handle = libc().poll(0, { readable: true }, () => {});
    handle.unref();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["pipe", "inherit", "pipe"],
  });
  child.stdin!.end("always ready");
  let stderr = "";
  child.stderr!.on("data", (data) => (stderr += String(data)));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
});

describe("with mutual TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "nsm-exit-"));
  const url = (name: string): string => `unix://${join(folder, `${name}.sock`)}`;
  const running: RunningProcess[] = [];
  const client = () => ({
    connectTo: url("nsmgr"),
    identity: `await fileIdentity(${JSON.stringify(join(folder, "nsc"))})`,
  });

  beforeEach(async () => {
    const { issue } = await authority({ trustDomain: "example.org" });
    for (const name of ["nsmgr", "forwarder", "nse", "nsc"])
      await (await issue({ path: `/${name}` })).writeTo(join(folder, name));
    const start = async (name: string, flags: readonly string[]): Promise<void> => {
      const all = ["--identity", `files=${join(folder, name)}`, "--listen-on", url(name), ...flags];
      running.push(await startProcess({ command: process.execPath, args: command(name, all) }));
    };
    const onward = ["--control-plane-only", "--connect-to", url("nsmgr")];
    await start("nsmgr", ["--registry", "none"]);
    await start("forwarder", onward);
    await start("nse", [...onward, "--service", "firewall", "--cidr", "10.0.0.0/24"]);
  });

  afterEach(async () => {
    for (const one of running.splice(0).reverse()) await one.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a process exits while its connection is up, and waits for a Close", async () => {
    expect(await run(client(), "")).toBe("established\n");
    expect(await run(client(), pause)).toBe("established\n");
    expect(await run(client(), "void connected.close();")).toBe("established\nclosed\n");
  }, 60_000);

  test("a process exits while its connection is being healed", async () => {
    const [nsmgr] = running;
    const ended = run(
      client(),
      `console.log("up"); process.kill(${nsmgr!.pid}, "SIGKILL"); await new Promise((done) => {
        const wait = setInterval(() => {}, 1_000);
        connected.events.subscribe(({ type }) => type === "failed" && done(clearInterval(wait)));
      });`,
    );
    expect(await ended).toBe("established\nup\nhealing\nfailed\n");
  }, 60_000);
});
