// Lets Node load TypeScript of bench/ and test/, and takes what they import from src/ out of dist/: the code that
// is measured is the code that is shipped.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = new URL("../", import.meta.url).href;

export function resolve(specifier, context, nextResolve) {
  if (!specifier.startsWith(".") || !context.parentURL?.endsWith(".ts")) {
    return nextResolve(specifier, context);
  }
  const { href } = new URL(specifier, context.parentURL);
  if (href.startsWith(`${root}src/`))
    return nextResolve(href.replace(`${root}src/`, `${root}dist/`), context);
  const source = href.replace(/\.js$/, ".ts");
  return nextResolve(existsSync(fileURLToPath(source)) ? source : href, context);
}

export function load(url, context, nextLoad) {
  if (!url.endsWith(".ts")) return nextLoad(url, context);
  const { outputText } = ts.transpileModule(readFileSync(fileURLToPath(url), "utf8"), {
    fileName: fileURLToPath(url),
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    },
  });
  return { format: "module", source: outputText, shortCircuit: true };
}
