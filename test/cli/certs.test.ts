import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeCertificates } from "../../src/cli/certs.js";
import { Code } from "../../src/core/index.js";
import { fileIdentity } from "../../src/identity/index.js";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "nsm-certs-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const HOUR_MS = 3_600_000;

describe("nsmctl certs", () => {
  test("makes a folder for each id that a program can take its identity from", async () => {
    const ids = ["spiffe://example.org/nsmgr", "spiffe://example.org/ns/one/nse"];
    const folders = await makeCertificates({ dir, lifetimeMs: HOUR_MS, ids });
    expect(folders).toEqual([join(dir, "nsmgr"), join(dir, "nse")]);
    for (const [i, folder] of folders.entries()) {
      const identity = await fileIdentity(folder);
      expect(identity.id?.toString()).toBe(ids[i]);
      identity.close();
    }
  });

  test("refuses a lifetime that no certificate can have and writes nothing", async () => {
    const target = join(dir, "made");
    const ids = ["spiffe://example.org/a"];
    await expect(
      makeCertificates({ dir: target, lifetimeMs: 99_999_999 * HOUR_MS, ids }),
    ).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("4 digits"),
    });
    expect(existsSync(target)).toBe(false);
  });

  test.each([
    [["spiffe://example.org/a", "spiffe://example.com/b"], "spiffe://example.com/b"],
    [["spiffe://example.org/x/nse", "spiffe://example.org/y/nse"], "nse"],
    [["example.org/a"], "example.org/a"],
  ])("refuses %j and writes nothing", async (ids, named) => {
    const target = join(dir, "made");
    await expect(makeCertificates({ dir: target, lifetimeMs: HOUR_MS, ids })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining(named),
    });
    await expect(import("node:fs/promises").then((fs) => fs.access(target))).rejects.toThrow();
  });
});
