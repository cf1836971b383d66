import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { authority } from "../../src/identity/index.js";
import { runToEnd } from "./support.js";

const folders: string[] = [];
const folder = (): string => {
  folders.push(mkdtempSync(join(tmpdir(), "nsm-config-")));
  return folders.at(-1)!;
};
afterEach(() => folders.splice(0).forEach((path) => rmSync(path, { recursive: true, force: true })));

const insecure = ["--insecure"];

describe("a program that is told something wrong ends with one line that says", () => {
  test.each([
    ["which flag it does not know", "nsmgr", [...insecure, "--nonsense"], {}, "--nonsense"],
    ["which duration it cannot read", "nsmgr", [...insecure, "--max-token-lifetime", "soon"], {}, "soon"],
    [
      "that a lifetime is none",
      "registry",
      [...insecure, "--max-token-lifetime", "0s"],
      {},
      "--max-token-lifetime",
    ],
    [
      "which registry it cannot call",
      "nsmgr",
      [...insecure, "--registry", "bogus://x", "--listen-on", "tcp://127.0.0.1:0"],
      {},
      "bogus://x",
    ],
    [
      "which variable it cannot read",
      "nsmgr",
      insecure,
      { NSM_MAX_TOKEN_LIFETIME: "soon" },
      "NSM_MAX_TOKEN_LIFETIME",
    ],
    ["which log level there is not", "nsmgr", [...insecure, "--log-level", "loud"], {}, "loud"],
    [
      "that it needs an identity",
      "registry",
      ["--listen-on", "tcp://127.0.0.1:0"],
      {},
      "--identity files=DIR",
    ],
    ["which identities there are", "registry", ["--identity", "passport"], {}, '"passport"'],
    ["that two flags exclude each other", "registry", [...insecure, "--identity", "files=/x"], {}, "exclude"],
    ["which store there is not", "registry", [...insecure, "--store", "paper"], {}, '"paper"'],
    [
      "which address it cannot listen on",
      "registry",
      [...insecure, "--listen-on", "10.0.0.1:5002"],
      {},
      "10.0.0.1:5002",
    ],
    ["that the client asks for nothing", "nsc", insecure, {}, "--request"],
    ["what is wrong with a request", "nsc", [...insecure, "--request", "kernel:///x"], {}, "kernel:///x"],
    ["that the endpoint provides nothing", "nse", insecure, {}, "--service"],
    [
      "which prefix is none",
      "nse",
      [...insecure, "--service", "s", "--cidr", "10.0.0.0/33"],
      {},
      "10.0.0.0/33",
    ],
  ] as const)("%s", async (_title, program, args, env, named) => {
    const { code, stdout, stderr } = await runToEnd(program, args, env);
    expect(code).toBeGreaterThan(0);
    expect(stdout).toBe("");
    const lines = stderr
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith('{"level":40'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(named);
  });

  test("which port is in use", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const url = `tcp://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const { code, stderr } = await runToEnd("registry", [...insecure, "--listen-on", url]);
    await new Promise((resolve) => other.close(resolve));
    expect(code).toBe(1);
    expect(stderr).toContain(url.replace("tcp://", ""));
    expect(stderr).toMatch(/in use/);
  });

  test("which certificate file is missing", async () => {
    const dir = folder();
    const { code, stderr } = await runToEnd("registry", ["--identity", `files=${dir}`]);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toContain(join(dir, "ca.pem"));
  });

  test("that a certificate is expired, and since when", async () => {
    const dir = folder();
    const { issue } = await authority({ trustDomain: "example.org" });
    const issued = await issue({
      path: "/registry",
      notBefore: new Date(Date.now() - 7_200_000),
      lifetimeMs: 3_600_000,
    });
    await issued.writeTo(dir);
    const { code, stderr } = await runToEnd("registry", ["--identity", `files=${dir}`]);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).toMatch(/svid\.pem.*expired|expired.*svid\.pem/);
  });

  test("that a key does not fit its certificate", async () => {
    const dir = folder();
    const { issue } = await authority({ trustDomain: "example.org" });
    await (await issue({ path: "/registry" })).writeTo(dir);
    writeFileSync(join(dir, "key.pem"), (await issue({ path: "/other" })).key);
    const { code, stderr } = await runToEnd("registry", ["--identity", `files=${dir}`]);
    expect(code).toBe(1);
    expect(stderr).toContain("key.pem");
  });

  test("that its manager is not there", async () => {
    const missing = `unix://${folder()}/nobody.sock`;
    const { code, stderr } = await runToEnd("nse", [...insecure, "--service", "s", "--connect-to", missing]);
    expect(code).toBe(1);
    const lines = stderr
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("{"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(missing);
  });
});
