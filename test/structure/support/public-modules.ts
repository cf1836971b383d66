import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The root of the repository. */
export const root = fileURLToPath(new URL("../../..", import.meta.url));
const src = join(root, "src");

/** A module that users import: its subpath, such as `nsm-sdk/elements/heal`, and its file. */
export interface PublicModule {
  readonly subpath: string;
  readonly file: string;
}

/** The modules of the exports map: `"./elements/*"` stands for every folder below. */
export function publicModules(): PublicModule[] {
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    exports: Record<string, { default: string }>;
  };
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).sort();
  const modules = new Map<string, string>();
  for (const [subpath, { default: target }] of Object.entries(exports)) {
    const [start, end] = target.replace("./dist/", "").replace(/\.js$/, ".ts").split("*") as [
      string,
      string?,
    ];
    for (const path of files) {
      const fits = end === undefined ? path === start : path.startsWith(start) && path.endsWith(end);
      if (!fits) continue;
      if (end !== undefined && path.length < start.length + end.length) continue;
      const star = end === undefined ? "" : path.slice(start.length, -end.length);
      modules.set(`nsm-sdk${subpath.slice(1).replace("*", star)}`, join(src, path));
    }
  }
  return [...modules].map(([subpath, file]) => ({ subpath, file }));
}

/** The sources, as the build compiles them. */
export function sourceProgram(): ts.Program {
  const { config } = ts.readConfigFile(join(root, "tsconfig.build.json"), ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  return ts.createProgram(fileNames, options);
}

/** What a module exports, aliases resolved, by name. */
export function exportsOf(program: ts.Program, { file }: PublicModule): ReadonlyMap<string, ts.Symbol> {
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error(`${file} is no module`);
  return new Map(
    checker
      .getExportsOfModule(module)
      .map((symbol) => [
        symbol.name,
        symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
      ]),
  );
}
