import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";

/** A block of TypeScript on a page, and the file that its first line names. */
export interface CodeBlock {
  readonly line: number;
  readonly file: string;
  readonly text: string;
}

/** The blocks of a page, in order. */
export function codeBlocks(page: string): readonly CodeBlock[] {
  const markdown = readFileSync(page, "utf8");
  return [...markdown.matchAll(/^```ts\n([^]*?)^```$/gm)].map(({ 1: text = "", index }) => ({
    line: markdown.slice(0, index).split("\n").length + 1,
    file: /^\/\/ (\S+\.ts)\n/.exec(text)?.[1] ?? "block.ts",
    text,
  }));
}

/**
 * What the compiler finds in the blocks of a page, with the settings of the repository. Each block may import the
 * files that earlier blocks name, as the last of them left them.
 */
export function compileErrors(root: string, page: string): readonly string[] {
  const files = new Map<string, { readonly text: string; readonly line: number }>();
  const mains = codeBlocks(page).map((block, i, all) => {
    const folder = join(root, "docs", `block-${i}`);
    for (const { file, text, line } of all.slice(0, i + 1)) files.set(join(folder, file), { text, line });
    return join(folder, block.file);
  });

  const config = ts.readConfigFile(join(root, "tsconfig.json"), (path) => ts.sys.readFile(path))
    .config as object;
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, directoryExists } = host;
  const folders = new Set([...files.keys()].map(dirname));
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.directoryExists = (path) => folders.has(path) || (directoryExists?.(path) ?? true);
  host.readFile = (path) => files.get(path)?.text ?? readFile(path);

  const program = ts.createProgram(mains, options, host);
  return mains.flatMap((main) => {
    const source = program.getSourceFile(main)!;
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return found.map(({ start = 0, messageText }) => {
      const line = files.get(main)!.line + source.getLineAndCharacterOfPosition(start).line;
      return `line ${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
    });
  });
}
