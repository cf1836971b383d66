import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { codeBlocks, compileErrors } from "./support/code-blocks.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = join(root, "docs/writing-an-element.md");

test("every code block of docs/writing-an-element.md compiles as copied", { timeout: 120_000 }, () => {
  expect(codeBlocks(page).length).toBeGreaterThan(7);
  expect(compileErrors(root, page)).toEqual([]);
});

test("the quota that the page ends with is the one of the example", () => {
  const written = codeBlocks(page)
    .filter(({ file }) => file === "quota.ts")
    .at(-1)!.text;
  const code = (text: string): string =>
    text
      .replace(/^\s*(\/\/|\/?\*).*$/gm, "")
      .replace(/\s+/g, " ")
      .trim();
  const example = readFileSync(join(root, "examples/custom-element/quota.ts"), "utf8");
  expect(code(example)).toBe(code(written));
});
