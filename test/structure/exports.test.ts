import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const src = join(root, "src");
const generated = join(src, "api", "generated") + sep;

/** The indexes that users import, by the exports map: `"./elements/*"` stands for every folder below. */
function publicIndexes(): string[] {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    exports: Record<string, { default: string }>;
  };
  const targets = Object.values(exports).map(({ default: target }) =>
    target.replace("./dist/", "").replace(/\.js$/, ".ts"),
  );
  const isTarget = (path: string): boolean =>
    targets.some((target) => {
      const [start, end] = target.split("*") as [string, string?];
      return end === undefined ? path === target : path.startsWith(start) && path.endsWith(end);
    });
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter(isTarget)
    .map((path) => join(src, path));
}

function parsed(): ts.Program {
  const { config } = ts.readConfigFile(join(root, "tsconfig.build.json"), ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  return ts.createProgram(fileNames, options);
}

describe("what a public index exports", () => {
  test("has a doc comment", () => {
    const program = parsed();
    const checker = program.getTypeChecker();
    const silent = new Set<string>();
    for (const index of publicIndexes()) {
      const file = program.getSourceFile(index);
      const module = file && checker.getSymbolAtLocation(file);
      expect(module, `${relative(root, index)} is a module`).toBeDefined();
      for (const exported of checker.getExportsOfModule(module!)) {
        const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
        const [declaration] = symbol.declarations ?? [];
        const path = declaration?.getSourceFile().fileName;
        // The generated messages have their comments in proto/.
        if (!path || path.startsWith(generated)) continue;
        if (symbol.getDocumentationComment(checker).length === 0)
          silent.add(`${relative(root, path)}: ${symbol.name}`);
      }
    }
    expect([...silent].sort()).toEqual([]);
  }, 60_000);
});
