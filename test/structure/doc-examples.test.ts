import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { docExamples, exampleErrors, importedPaths } from "./support/doc-examples.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const examples = docExamples(root);

describe("the examples in doc comments", () => {
  test("compile as copied, with the imports that they show", { timeout: 120_000 }, () => {
    expect(examples.length).toBeGreaterThan(100);
    expect(exampleErrors(root, examples)).toEqual([]);
  });

  test("import only what the package exports", () => {
    const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { exports: object };
    const exported = Object.keys(exports).map((path) => path.replace(/^\./, "nsm-sdk"));
    const isExported = (path: string): boolean =>
      exported.some((one) => (one.endsWith("*") ? path.startsWith(one.slice(0, -1)) : path === one));
    const wrong = examples.flatMap((example) =>
      importedPaths(example)
        .filter((path) => !isExported(path))
        .map((path) => `${example.file}:${example.line}: ${path}`),
    );
    expect(wrong).toEqual([]);
  });
});
