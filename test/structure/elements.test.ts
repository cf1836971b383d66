import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const families = ["src/elements", "src/registry/elements", "src/registry/stores"];

/** The folders that hold an element: those with a public index. */
function* elementFolders(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const path = join(folder, entry.name);
    if (existsSync(join(path, "index.ts"))) yield path;
    yield* elementFolders(path);
  }
}

const folders = families.flatMap((family) => [...elementFolders(join(root, family))]);
const paths = folders.map((folder) => relative(root, folder).replace("src/", ""));

describe("every element", () => {
  test("has a line in docs/elements.md, and every line there has an element", () => {
    const documented = [
      ...readFileSync(join(root, "docs/elements.md"), "utf8").matchAll(/^\| `([^`]+)` \|/gm),
    ];
    expect(documented.map(([, path]) => path).sort()).toEqual([...paths].sort());
  });

  test.each(paths)("%s has a description with an example in its index", (path) => {
    const text = readFileSync(join(root, "src", path, "index.ts"), "utf8");
    expect(text).toMatch(/^\/\*\*[\s\S]*@packageDocumentation/);
    expect(text).toMatch(/@example/);
  });
});
