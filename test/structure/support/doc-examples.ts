import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";

/** An `@example` of a doc comment. */
export interface DocExample {
  /** The file, from the root of the repository. */
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The `@example` blocks of all sources under `folder`, which is named from the root. */
export function docExamples(root: string, folder = "src"): readonly DocExample[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.startsWith("api/generated"))
    .flatMap((path) => {
      const source = readFileSync(join(root, folder, path), "utf8");
      return [...source.matchAll(/^ *\/\*\*\n(?: *\*(?!\/).*\n)+/gm)].flatMap((comment) =>
        [...comment[0].matchAll(/^ *\* @example\n((?: *\*(?! @\w|\/).*\n)+)/gm)].map((example) => ({
          file: join(folder, path),
          line: source.slice(0, comment.index + example.index).split("\n").length + 1,
          text: example[1]!.replace(/^ *\* ?/gm, ""),
        })),
      );
    });
}

/** What the compiler finds in examples. Each is a module beside its source that sees the names of the prelude. */
export function exampleErrors(root: string, examples: readonly DocExample[]): readonly string[] {
  const files = new Map<string, DocExample>();
  for (const example of examples) {
    files.set(join(root, example.file.replace(/\.ts$/, `.example-${example.line}.ts`)), example);
  }
  const globals = join(root, "test/structure/support/prelude-globals.d.ts");
  const texts = new Map([[globals, preludeGlobals(root)]]);
  for (const [path, { text }] of files) texts.set(path, text);

  const config = ts.readConfigFile(join(root, "tsconfig.json"), (path) => ts.sys.readFile(path))
    .config as object;
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const all = {
    ...options,
    moduleDetection: ts.ModuleDetectionKind.Force,
    types: ["node", "vitest/globals"],
  };
  const host = ts.createCompilerHost(all);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path) ?? readFile(path);

  const program = ts.createProgram([...texts.keys()], all, host);
  return [...files].flatMap(([path, { file, line }]) => {
    const source = program.getSourceFile(path)!;
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found
      .filter((diagnostic) => !isUnusedValue(source, diagnostic))
      .map(({ start = 0, messageText }) => {
        const at = line + source.getLineAndCharacterOfPosition(start).line;
        return `${relative(root, join(root, file))}:${at}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
      });
  });
}

/** The package paths that an example imports. */
export function importedPaths({ text }: DocExample): readonly string[] {
  return [...text.matchAll(/from "(nsm-sdk[^"]*)"/g)].map(([, path]) => path!);
}

/** An example shows a value and does not use it further; an import that it does not use is a mistake. */
function isUnusedValue(source: ts.SourceFile, { code, start = 0 }: ts.Diagnostic): boolean {
  const UNUSED = [6133, 6138, 6192, 6196, 6198];
  return (
    UNUSED.includes(code) && !source.statements.some((one) => ts.isImportDeclaration(one) && one.end > start)
  );
}

function preludeGlobals(root: string): string {
  const prelude = readFileSync(join(root, "test/structure/support/prelude.ts"), "utf8");
  const names = [...prelude.matchAll(/^export declare const (\w+)/gm)].map(([, name]) => name!);
  const lines = names.map((name) => `const ${name}: typeof prelude.${name};`);
  return `import type * as prelude from "./prelude.js";\ndeclare global {\n${lines.join("\n")}\n}\n`;
}
