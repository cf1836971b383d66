import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeDirectory } from "../../src/files/index.js";

let scratch: string;
beforeEach(() => void (scratch = mkdtempSync(join(tmpdir(), "nsm-make-directory-"))));
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe("making a directory", () => {
  test("makes the parents it lacks and returns the first of them", () => {
    expect(makeDirectory(join(scratch, "a/b/c"))).toBe(join(scratch, "a"));
    expect(existsSync(join(scratch, "a/b/c"))).toBe(true);
    expect(makeDirectory(join(scratch, "a/b/c"))).toBeUndefined();
    expect(makeDirectory(join(scratch, "a/d"))).toBe(join(scratch, "a/d"));
  });

  test("fails at once below /proc, with the system's reason", () => {
    expect(() => makeDirectory("/proc/nsm-sdk/state")).toThrow(expect.objectContaining({ code: "ENOENT" }));
  });

  test("fails where a file has the name, or a parent is one", () => {
    writeFileSync(join(scratch, "file"), "");
    expect(() => makeDirectory(join(scratch, "file"))).toThrow(expect.objectContaining({ code: "EEXIST" }));
    expect(() => makeDirectory(join(scratch, "file/below"))).toThrow(
      expect.objectContaining({ code: "ENOTDIR" }),
    );
  });
});
