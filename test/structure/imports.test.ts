import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const src = fileURLToPath(new URL("../../src", import.meta.url));

/** The top folders that a folder may import from, besides itself. */
const layers: readonly (readonly string[])[] = [
  ["api"],
  ["core"],
  ["files", "net", "wire"],
  ["linux"],
  ["identity"],
  ["inbound", "outbound"],
  ["memory"],
  ["registry"],
  ["elements"],
  ["chains"],
  ["programs"],
  ["testing"],
  ["cli"],
];

const rank = new Map(layers.flatMap((names, i) => names.map((name) => [name, i] as const)));

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (path.endsWith(".ts")) yield path;
  }
}

interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly dynamic: boolean;
}

function* imports(): Generator<Import> {
  for (const file of sources(src)) {
    const text = readFileSync(file, "utf8");
    for (const match of text.matchAll(/(?:^|\n)(?:import|export)\s[^;]*?from\s+"([^"]+)"/g)) {
      yield { from: file, specifier: match[1]!, dynamic: false };
    }
    for (const match of text.matchAll(/import\("([^"]+)"\)/g)) {
      yield { from: file, specifier: match[1]!, dynamic: true };
    }
  }
}

const top = (path: string): string => relative(src, path).split("/")[0]!;

describe("imports", () => {
  test("have one direction, and folders of one layer do not import each other", () => {
    const wrong = [...imports()]
      .filter(({ specifier }) => specifier.startsWith("."))
      .map(({ from, specifier }) => ({ from, to: resolve(dirname(from), specifier) }))
      .filter(({ from, to }) => {
        const [own, other] = [rank.get(top(from)), rank.get(top(to))];
        // The top-level index.ts imports everything; nothing imports it.
        if (own === undefined) return top(from) !== "index.ts";
        return other === undefined || other > own || (other === own && top(from) !== top(to));
      })
      .map(({ from, to }) => `${relative(src, from)} -> ${relative(src, to)}`);
    expect(wrong).toEqual([]);
  });

  test("form no cycle, types included", () => {
    expect(cycles()).toEqual([]);
  });

  test("load dependencies of single programs lazily", () => {
    const late = ["koffi", "etcd3", "@kubernetes/client-node", "@open-policy-agent/opa-wasm"];
    const early = [...imports()]
      .filter(({ specifier, dynamic }) => !dynamic && late.includes(specifier))
      .filter(({ from, specifier }) => !onlyTypes(from, specifier))
      .map(({ from, specifier }) => `${relative(src, from)} imports ${specifier}`);
    expect(early).toEqual([]);
  });

  test("keep the container in the programs", () => {
    const outside = [...imports()]
      .filter(({ specifier }) => specifier === "tsyringe")
      .filter(({ from }) => top(from) !== "programs")
      .map(({ from }) => relative(src, from));
    expect(outside).toEqual([]);
  });
});

/** The files that import themselves by way of others. */
function cycles(): readonly string[] {
  const targets = new Map<string, string[]>();
  for (const { from, specifier } of imports()) {
    if (!specifier.startsWith(".")) continue;
    const to = resolve(dirname(from), specifier).replace(/\.js$/, ".ts");
    targets.set(from, [...(targets.get(from) ?? []), to]);
  }
  const reaches = (file: string): boolean => {
    const seen = new Set<string>();
    const open = [...(targets.get(file) ?? [])];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...(targets.get(next) ?? []));
    }
    return seen.has(file);
  };
  return [...targets.keys()].filter(reaches).map((file) => relative(src, file));
}

function onlyTypes(file: string, specifier: string): boolean {
  const text = readFileSync(file, "utf8");
  return !new RegExp(`\\nimport (?!type )[^;]*from "${specifier}"`).test(`\n${text}`);
}
