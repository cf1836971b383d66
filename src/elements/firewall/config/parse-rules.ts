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
 * Parses the rules in a text: a YAML list of rules, or the map of ACL rules that the Go firewall reads (section
 * "Firewall NSE" of its data plane). The YAML type selects the format. Errors refer to the text as `file`. Only
 * the empty list `[]` allows everything; a text without rules is rejected.
 *
 * @throws NsmError INVALID_ARGUMENT with file, line and reason of the first problem.
 * @example
 * import { parseRules } from "nsm-sdk/elements/firewall";
 *
 * parseRules("- { name: web, action: allow, protocol: tcp, ports: [80, 8000-8010] }", "rules.yaml");
 */
export function parseRules(text: string, file = "rules"): RuleSet {
  const lines = new LineCounter();
  // Some editors write a byte order mark first, which would count as indentation.
  const document = parseDocument(text.replace(/^\uFEFF/, ""), { lineCounter: lines, prettyErrors: false });
  const refuse = (offset: number, message: string): NsmError =>
    new NsmError(Code.InvalidArgument, `${file}:${lines.linePos(offset).line || 1}: ${message}`);

  const [broken] = document.errors;
  if (broken) {
    const second = broken.code === "MULTIPLE_DOCS";
    throw refuse(
      broken.pos[0],
      second ? "a second YAML document starts here: only one is allowed" : broken.message,
    );
  }
  const { lost, surplus } = aliasProblems(document);
  if (lost) throw refuse(offsetOf(lost), `alias *${lost.source} has no anchor before it`);
  if (surplus)
    throw refuse(offsetOf(surplus), `more than ${MOST_ALIASES} aliases: replace some by their values`);

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
    throw refuse("no rules: write [] to allow everything");
  }
  try {
    if (isSeq(contents)) return readRules(document.toJS() as unknown[]);
    if (isMap(contents)) return readAclMap(contents, document);
  } catch (error) {
    // Nested aliases that would expand without limit.
    if (error instanceof ReferenceError) throw refuse(explain(error));
    throw error;
  }
  throw refuse("expected a list of rules or a map of ACL rules");
}

/** Reads entry by entry, because a JavaScript object would reorder names that look like numbers. */
function readAclMap(map: YAMLMap, document: Document.Parsed): Read {
  const read = map.items.map(({ key, value }) =>
    readAclRule(keyText(key), (value as Node | null)?.toJS(document)),
  );
  const problems = read.filter((one): one is readonly Problem[] => Array.isArray(one)).flat();
  return problems.length > 0 ? { problems } : { rules: read as readonly CheckedRule[] };
}

/**
 * Finds the first alias without an anchor, and the first alias above the limit. The limit exists because the
 * library searches the file once per alias.
 */
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

/** The offset of the value at the path, or of its closest existing ancestor. */
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
      if (i === path.length - 1) break; // the line of the key, because its value may start on a later line
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
