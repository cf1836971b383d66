import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";
import { exportsOf, publicModules, root, sourceProgram } from "./support/public-modules.js";

const file = join(root, "test/structure/public-names.txt");
const program = sourceProgram();

// After a deliberate change: UPDATE=1 npx vitest run --project unit test/structure/public-surface.test.ts
test("the public names of every subpath are those of public-names.txt", () => {
  const lines = publicModules()
    .flatMap((module) => [...exportsOf(program, module).keys()].map((name) => `${module.subpath} ${name}`))
    .sort();
  if (process.env.UPDATE) writeFileSync(file, `${lines.join("\n")}\n`);
  expect(lines).toEqual(readFileSync(file, "utf8").trimEnd().split("\n"));
}, 60_000);

test("every optional property of public options accepts undefined", () => {
  const missing = new Set<string>();
  const seen = new Set<ts.Node>();
  const check = (node: ts.Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (ts.isPropertySignature(node) && node.questionToken && node.type && !acceptsUndefined(node.type)) {
      const source = node.getSourceFile();
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      missing.add(`${relative(root, source.fileName)}:${line + 1} ${node.name.getText()}`);
    }
    ts.forEachChild(node, check);
  };
  for (const module of publicModules()) {
    for (const [name, symbol] of exportsOf(program, module)) {
      if (!name.endsWith("Options")) continue;
      for (const declaration of symbol.declarations ?? []) check(declaration);
    }
  }
  expect([...missing].sort()).toEqual([]);
}, 60_000);

function acceptsUndefined(type: ts.TypeNode): boolean {
  const checker = program.getTypeChecker();
  const resolved = checker.getTypeFromTypeNode(type);
  const parts = resolved.isUnion() ? resolved.types : [resolved];
  return parts.some(
    ({ flags }) => (flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Any | ts.TypeFlags.Unknown)) !== 0,
  );
}
