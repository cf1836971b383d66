import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const tests = fileURLToPath(new URL("..", import.meta.url));
const files = readdirSync(tests, { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".ts"),
);
const texts = new Map(files.map((path) => [path, readFileSync(join(tests, path), "utf8")]));

describe("the tests", () => {
  test("import the sources by their path, not by the name of the package", () => {
    const byName = [...texts].filter(([, text]) => /(^import|\bfrom|\bimport\() ?"nsm-sdk[/"]/m.test(text));
    expect(byName.map(([path]) => path)).toEqual([]);
  });

  test("are in files of 500 lines at most", () => {
    const long = [...texts].filter(([, text]) => text.split("\n").length > 500);
    expect(long.map(([path]) => path)).toEqual([]);
  });
});
