import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { codeBlocks, compileErrors } from "./support/code-blocks.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

test.each([
  { page: "README.md", blocks: 3 },
  { page: "docs/architecture.md", blocks: 1 },
])("every code block of $page compiles as copied", { timeout: 120_000 }, ({ page, blocks }) => {
  expect(codeBlocks(join(root, page))).toHaveLength(blocks);
  expect(compileErrors(root, join(root, page))).toEqual([]);
});
