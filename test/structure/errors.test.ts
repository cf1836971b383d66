import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { errorSentences, type Sentence } from "./support/error-sentences.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sentences = errorSentences(join(root, "src"));

/**
 * Folders whose messages are not listed: kernel errors are documented by code, and the demo and the test kit
 * report observations.
 */
const documentedElsewhere = ["linux/", "cli/demo/", "testing/"];

/** Whether a sentence has words of its own. Sentences that only forward other messages have nothing to look up. */
const hasWords = ({ text }: Sentence): boolean => (text.match(/[a-z]{2,}/gi) ?? []).length > 1;

/** Spells `NotFound` like the protocol and the documents. */
const spelled = (code: string | undefined): string | undefined =>
  code?.replace(/\B[A-Z]/g, "_$&").replace(/^[A-Z].*/, (name) => name.toUpperCase());

interface Row {
  readonly text: string;
  readonly code: string;
  readonly advice: string;
}

const rows: readonly Row[] = [
  ...readFileSync(join(root, "docs/errors.md"), "utf8").matchAll(/^\| `(.+?)` \| (.+?) \| (.+) \|$/gm),
].map(([, text, code, advice]) => ({ text: text!, code: code!, advice: advice! }));

describe("docs/errors.md", () => {
  test("has every error message", () => {
    const known = new Set(rows.map(({ text }) => text));
    const missing = sentences
      .filter(hasWords)
      .filter(
        ({ file, text }) =>
          !known.has(text) && !documentedElsewhere.some((folder) => file.startsWith(folder)),
      )
      .map(({ file, code, text }) => `${file}: ${spelled(code) ?? "?"}: ${text}`);
    expect(missing).toEqual([]);
  });

  test("has no message that no error has, and none twice", () => {
    const texts = new Set(sentences.map(({ text }) => text));
    expect(rows.filter(({ text }) => !texts.has(text))).toEqual([]);
    expect(rows.filter(({ text }, i) => rows.findIndex((row) => row.text === text) !== i)).toEqual([]);
  });

  test("has the code of each message", () => {
    const wrong = rows.filter(({ text, code }) => {
      const codes = sentences
        .filter((sentence) => sentence.text === text)
        .map((sentence) => spelled(sentence.code));
      return !codes.includes(undefined) && !codes.includes(code);
    });
    expect(wrong).toEqual([]);
  });
});
