import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { readText } from "../../src/files/index.js";
import { watchedRules } from "../../src/elements/firewall/index.js";
import { readIdentityFiles } from "../../src/identity/identity-files.js";

let scratch: string;
beforeEach(() => void (scratch = mkdtempSync(join(tmpdir(), "nsm-read-text-"))));
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

function fifo(name: string): string {
  const path = join(scratch, name);
  execFileSync("mkfifo", [path]);
  return path;
}

describe("reading a configuration file", () => {
  test("returns its text", async () => {
    writeFileSync(join(scratch, "file"), "größer");
    expect(await readText(join(scratch, "file"))).toBe("größer");
    expect(await readText("/proc/self/comm")).not.toBe("");
  });

  test("does not wait for the writer of a FIFO", async () => {
    const refused = { code: Code.InvalidArgument, message: expect.stringContaining("not a regular file") };
    await expect(readText(fifo("a"))).rejects.toMatchObject(refused);
    await expect(readText("/dev/zero")).rejects.toMatchObject(refused);
  });

  test("fails for a directory and for an endless file, with the reason", async () => {
    await expect(readText(scratch)).rejects.toMatchObject({ code: "EISDIR" });
    const large = join(scratch, "large");
    writeFileSync(large, "");
    truncateSync(large, 2 ** 40);
    await expect(readText(large)).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: `${large} is too large: ${2 ** 40} bytes, the limit is 4194304`,
    });
  });

  test("is how rules and identities are read", async () => {
    const rules = fifo("rules.yaml");
    await expect(watchedRules(rules)).rejects.toMatchObject({
      message: `${rules} is not a regular file`,
    });
    const ca = fifo("ca.pem");
    await expect(readIdentityFiles(scratch, Date.now())).rejects.toMatchObject({
      message: `${ca} is not a regular file`,
    });
  });
});
