import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Code } from "../../../src/core/index.js";
import { assertCapabilities, assertWritable, lockedFor } from "../../../src/programs/runtime/checks.js";

const statusWith = (capabilities: string): string => `Name:\tnode\nCapEff:\t${capabilities}\nCapBnd:\t0\n`;

describe("the privilege of a program", () => {
  test("is complete for root", () => {
    const check = () =>
      assertCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "here", statusWith("000001ffffffffff"));
    expect(check).not.toThrow();
  });

  test.each([
    ["0000000000000000", "CAP_NET_ADMIN and CAP_SYS_ADMIN"],
    ["0000000000001000", "CAP_SYS_ADMIN"],
    ["0000000000200000", "CAP_NET_ADMIN"],
  ])("with the capabilities %s lacks %s", (capabilities, missing) => {
    const check = () =>
      assertCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "here", statusWith(capabilities));
    expect(check).toThrow(`lacks ${missing}, which`);
    expect(check).toThrow(expect.objectContaining({ code: Code.PermissionDenied }));
  });
});

describe("a directory of a program", () => {
  test("that cannot be written is named with its flag and the reason", () => {
    expect(() => assertWritable("--state-dir", "/etc/hosts/nsm")).toThrow(/--state-dir "\/etc\/hosts\/nsm"/);
  });

  test("is kept for one holder at a time, and left empty", () => {
    const directory = mkdtempSync(join(tmpdir(), "nsm-lock-"));
    try {
      const release = lockedFor("--state-dir", directory);
      expect(() => lockedFor("--state-dir", directory)).toThrow(
        `--state-dir "${directory}" is in use by another process`,
      );
      release();
      lockedFor("--state-dir", directory)();
      expect(readdirSync(directory)).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
