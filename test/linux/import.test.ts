import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../../src/linux", import.meta.url));

test("only one file reaches for the native module, and not when it is imported", () => {
  const mentions = readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .filter((file) => /["']koffi["']/.test(readFileSync(join(source, file), "utf8")));
  expect(mentions).toEqual(["libc.ts"]);
  expect(readFileSync(join(source, "libc.ts"), "utf8")).not.toMatch(/^import .*koffi/m);
});
