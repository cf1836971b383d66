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

/** What a program wrote to stderr, without its log. */
const linesOf = (stderr: string): string[] =>
  stderr
    .trim()
    .split("\n")
    .filter((line) => !line.startsWith("{"));

describe("a program with a wrong setting ends with code 2 and one line that names", () => {
  test.each([
    ["the flag it does not know", "nsmgr", [...insecure, "--nonsense"], {}, ["--nonsense"]],
    [
      "the lifetime that is none",
      "registry",
      [...insecure, "--max-token-lifetime", "0s"],
      {},
      ["--max-token-lifetime", "0s", "more than 0"],
    ],
    [
      "the registry it cannot call",
      "nsmgr",
      [...insecure, "--registry", "bogus://x", "--listen-on", "tcp://127.0.0.1:0"],
      {},
      ["--registry", "bogus://x", "tcp://"],
    ],
    [
      "the registry that it is itself",
      "nsmgr",
      [...insecure, "--registry", "tcp://localhost:5001", "--listen-on", "tcp://127.0.0.1:5001"],
      {},
      ["--registry", "tcp://localhost:5001", "itself"],
    ],
    [
      "the variable it cannot read",
      "nsmgr",
      insecure,
      { NSM_MAX_TOKEN_LIFETIME: "soon" },
      ["NSM_MAX_TOKEN_LIFETIME", "soon", "10m"],
    ],
    ["the log level there is not", "nsmgr", [...insecure, "--log-level", "loud"], {}, ["loud", "debug"]],
    ["the log format there is not", "nsmgr", [...insecure, "--log-format", "xml"], {}, ["xml", "json"]],
    ["the identity it lacks", "registry", ["--listen-on", "tcp://127.0.0.1:0"], {}, ["--identity files=DIR"]],
    ["the identity there is not", "registry", ["--identity", "passport"], {}, ["--identity", "files=DIR"]],
    [
      "two flags that exclude each other",
      "registry",
      [...insecure, "--identity", "files=/x"],
      {},
      ["--insecure", "--identity files=/x"],
    ],
    [
      "the store there is not",
      "registry",
      [...insecure, "--store", "paper"],
      {},
      ["--store", "paper", "memory"],
    ],
    [
      "the address it cannot listen on",
      "registry",
      [...insecure, "--listen-on", "10.0.0.1:5002"],
      {},
      ["--listen-on", "10.0.0.1:5002", "tcp://host:port"],
    ],
    ["the addresses it cannot find", "registry", [...insecure, "--listen-on", ","], {}, ["--listen-on"]],
    [
      "the address it cannot serve metrics on",
      "registry",
      [...insecure, "--metrics", "9090"],
      {},
      ["--metrics", "9090", "ADDRESS:PORT"],
    ],
    ["the request it lacks", "nsc", insecure, {}, ["--request", "kernel://"]],
    [
      "the request it cannot read",
      "nsc",
      [...insecure, "--request", "kernel://x/a/b"],
      {},
      ["--request", "kernel://x/a/b", "a/b", "kernel://SERVICE"],
    ],
    [
      "the interface that two requests want",
      "nsc",
      [...insecure, "--request", "kernel://s/nsm-1", "--request", "kernel://t/nsm-1"],
      {},
      ["--request", '"nsm-1"'],
    ],
    ["the service it lacks", "nse", insecure, {}, ["--service"]],
    [
      "the prefix that is none",
      "nse",
      [...insecure, "--service", "s", "--cidr", "10.0.0.0/33"],
      {},
      ["--cidr", "10.0.0.0/33"],
    ],
    [
      "the namespace there is not",
      "nse",
      [...insecure, "--service", "s", "--netns", "/run/netns/none"],
      {},
      ["--netns", "/run/netns/none"],
    ],
    [
      "the namespace that is none",
      "nsc",
      [...insecure, "--request", "kernel://s/i", "--netns", "/etc/hosts"],
      {},
      ["--netns", "/etc/hosts"],
    ],
  ] as const)("%s", async (_title, program, args, env, named) => {
    const { code, stdout, stderr } = await runToEnd(program, args, env);
    expect(linesOf(stderr)).toHaveLength(1);
    for (const part of named) expect(linesOf(stderr)[0]).toContain(part);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

describe("a program that finds a problem ends with code 1 and one line that reports", () => {
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
});
