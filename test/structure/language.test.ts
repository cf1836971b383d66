import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The folders and documents whose language is checked. Extend the list when another one is revised. */
const checked = [
  "src",
  "test",
  "bench",
  "examples",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
];

/** Phrases to avoid, and what to write instead. */
const phrases: readonly (readonly [RegExp, string])[] = [
  [/\b(tells?|told)\b/i, "publishes, reports or notifies"],
  [/\b(says?|said)\b/i, "reports, states or defines"],
  [/\bask(s|ed)? for\b/i, "requests or queries"],
  [/\bwhoever\b/i, "the caller, the client, the subscriber"],
  [/\b(nobody|somebody)\b/i, "the actor, or no client, another process"],
  [/\bleft out\b/i, "omitted, or Default: X."],
  [/\bof (no )?use\b/i, "invalid, not needed, cannot succeed"],
  [/\b(takes?|took) back\b/i, "releases, undoes or unregisters"],
  [/\b(gives?|gave) up( on|\b)/i, "stops retrying, selects another"],
  [/\bas well\b/i, "also, too, and"],
  [
    /\b([Bb]ehaviour|[Cc]olour|[Nn]eighbour|[Ll]abelled|[Cc]ancelled|[Rr]ecognised|[Dd]ialled)/,
    "the American spelling",
  ],
];

interface Text {
  readonly line: number;
  readonly text: string;
}

function filesBelow(path: string): readonly string[] {
  if (/\.\w+$/.test(path)) return [join(root, path)];
  return readdirSync(join(root, path), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.includes("generated"))
    .map((file) => join(root, path, file));
}

/** The prose of a comment. Examples are code, and links and code spans are names. */
function prose(comment: string): string {
  let isExample = false;
  return comment
    .split("\n")
    .map((line) => {
      const tag = /^\s*\*\s*@(\w+)/.exec(line)?.[1];
      if (tag) isExample = tag === "example";
      return isExample ? "" : line.replace(/`[^`]*`/g, "");
    })
    .join("\n");
}

/** Comments, and in sources the texts of strings, in tests the titles. */
function textsOf(file: string): readonly Text[] {
  const content = readFileSync(file, "utf8");
  if (!file.endsWith(".ts")) return [{ line: 1, text: content }];
  const source = ts.createSourceFile(file, content, ts.ScriptTarget.Latest, true);
  const found: Text[] = [];
  const seen = new Set<number>();
  const add = (position: number, text: string): void => {
    found.push({ line: source.getLineAndCharacterOfPosition(position).line + 1, text });
  };
  const isTest = relative(root, file).startsWith("test/");
  const visit = (node: ts.Node): void => {
    for (const { pos, end } of [
      ...(ts.getLeadingCommentRanges(content, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(content, node.getEnd()) ?? []),
    ]) {
      if (seen.has(pos)) continue;
      seen.add(pos);
      add(pos, prose(content.slice(pos, end)));
    }
    const isText =
      ts.isStringLiteralLike(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddle(node) ||
      ts.isTemplateTail(node);
    // grpc-js calls an event "cancelled".
    if (isText && (!isTest || isTitle(node)) && node.text !== "cancelled") add(node.getStart(), node.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Whether a text is the title of a test. */
function isTitle(node: ts.Node): boolean {
  const call = node.parent;
  if (!ts.isCallExpression(call) || call.arguments[0] !== node) return false;
  return /^(test|it|describe)\b/.test(call.expression.getText());
}

function problemsIn(file: string): readonly string[] {
  return textsOf(file).flatMap(({ line, text }) =>
    text.split("\n").flatMap((words, at) =>
      phrases.flatMap(([phrase, instead]) => {
        const match = phrase.exec(words);
        return match ? [`${relative(root, file)}:${line + at}: "${match[0]}": write ${instead}`] : [];
      }),
    ),
  );
}

describe("the language of comments, messages and test titles", () => {
  test.each(checked)("%s avoids the phrases of the list", (path) => {
    // This file names the phrases.
    const files = filesBelow(path).filter((file) => file !== fileURLToPath(import.meta.url));
    expect(files.flatMap(problemsIn)).toEqual([]);
  });
});
