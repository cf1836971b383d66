import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Alias,
  type Document,
  type Node,
  type YAMLMap,
} from "yaml";
import { Code, explain, NsmError } from "../../../core/index.js";
import { readAclRule } from "./acl-map.js";
import type { CheckedRule, Problem, RuleSet } from "../rules/rule.js";
import { readRules } from "../rules/check.js";

const MOST_ALIASES = 100;

/**
 * The rules in a text: a YAML list of rules, or the map of ACL rules that the Go firewall reads (section
 * "Firewall NSE" of its data plane), told apart by what they are. `file` is what errors call it.
 * Only the empty list `[]` means that everything passes: a text without rules is rejected.
 *
 * @throws NsmError INVALID_ARGUMENT with file, line and reason of the first thing that is wrong.
 * @example
 * import { parseRules } from "nsm-sdk/elements/firewall";
 *
 * parseRules("- { name: web, action: allow, protocol: tcp, ports: [80, 8000-8010] }", "rules.yaml");
 */
export function parseRules(text: string, file = "rules"): RuleSet {
  const lines = new LineCounter();
  // Editors on other systems put a byte order mark in front, which would count as indentation.
  const document = parseDocument(text.replace(/^\uFEFF/, ""), { lineCounter: lines, prettyErrors: false });
  const refuse = (offset: number, message: string): NsmError =>
    new NsmError(Code.InvalidArgument, `${file}:${lines.linePos(offset).line || 1}: ${message}`);

  const [broken] = document.errors;
  if (broken) {
    const second = broken.code === "MULTIPLE_DOCS";
    throw refuse(broken.pos[0], second ? "a second document begins, one is allowed" : broken.message);
  }
  const { lost, surplus } = aliasProblems(document);
  if (lost) throw refuse(offsetOf(lost), `*${lost.source} refers to nothing before it`);
  if (surplus) throw refuse(offsetOf(surplus), `more than ${MOST_ALIASES} aliases: write the values out`);

  const read = readDocument(document, (message) => refuse(offsetOf(document.contents), message));
  if ("rules" in read) return read;
  const located = read.problems
    .map(({ path, message }) => ({ offset: locate(document, path), message }))
    .sort((a, b) => a.offset - b.offset);
  throw refuse(located[0]!.offset, located[0]!.message);
}

type Read = RuleSet | { readonly problems: readonly Problem[] };

function readDocument(document: Document.Parsed, refuse: (message: string) => NsmError): Read {
  const { contents } = document;
  const isNothing = contents === null || (isScalar(contents) && contents.value === null);
  if (isNothing || (isMap(contents) && contents.items.length === 0)) {
    throw refuse("no rules; write [] to let everything pass");
  }
  try {
    if (isSeq(contents)) return readRules(document.toJS() as unknown[]);
    if (isMap(contents)) return readAclMap(contents, document);
  } catch (error) {
    // Aliases of aliases that would grow without end.
    if (error instanceof ReferenceError) throw refuse(explain(error));
    throw error;
  }
  throw refuse("neither a list of rules nor a map of ACL rules");
}

/** Entry by entry: as a JavaScript object the map would lose its order where names look like numbers. */
function readAclMap(map: YAMLMap, document: Document.Parsed): Read {
  const read = map.items.map(({ key, value }) =>
    readAclRule(keyText(key), (value as Node | null)?.toJS(document)),
  );
  const problems = read.filter((one): one is readonly Problem[] => Array.isArray(one)).flat();
  return problems.length > 0 ? { problems } : { rules: read as readonly CheckedRule[] };
}

/** The first alias that refers to nothing, and the first of too many: the library looks through the file for each. */
function aliasProblems(document: Document.Parsed): { lost?: Alias; surplus?: Alias } {
  const anchors = new Set<string>();
  const found: { lost?: Alias; surplus?: Alias } = {};
  let count = 0;
  visit(document, {
    Node(_key, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor);
        return;
      }
      if (!anchors.has(node.source)) found.lost ??= node;
      if (++count > MOST_ALIASES) found.surplus ??= node;
    },
  });
  return found;
}

/** Where the value at the path begins, or the deepest part of the way to it that there is. */
function locate(document: Document.Parsed, path: Problem["path"]): number {
  let node: Node | null | undefined = document.contents;
  let offset = offsetOf(node);
  for (const [i, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) {
      const item = node.items[Number(part)] as Node | undefined;
      if (!item) break;
      [node, offset] = [item, offsetOf(item, offset)];
    } else if (isMap(node)) {
      const pair = node.items.find(({ key }) => keyText(key) === String(part));
      if (!pair) break;
      offset = offsetOf(pair.key as Node, offset);
      node = pair.value as Node | null;
      if (i === path.length - 1) break; // the line of the key; its value may begin further down
    } else break;
  }
  return offset;
}

function keyText(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function offsetOf(node: Node | null | undefined, otherwise = 0): number {
  return node?.range?.[0] ?? otherwise;
}
