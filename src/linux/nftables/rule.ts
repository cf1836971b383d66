import { Code, NsmError } from "../../core/index.js";
import { type Attribute, bytes, nested, text } from "../netlink/attributes.js";
import { NLM_F_APPEND, NLM_F_CREATE, type Request } from "../netlink/message.js";
import { requirement } from "./fields.js";
import { setMessages } from "./sets.js";
import type { Requirement, Statement } from "./statement.js";
import { type Family, NFT_MSG, nftMessage } from "./encoding.js";

const RULE = { TABLE: 1, CHAIN: 2, EXPRESSIONS: 4, USERDATA: 7 } as const;
const USERDATA_COMMENT = 0;
const longestComment = 127;

/** Statements that the kernel evaluates in order until one does not match. */
export interface FilterRule {
  readonly statements: readonly Statement[];
  readonly comment: string | undefined;
}

/**
 * Creates a rule. `nft list ruleset` shows its comment, and errors of the kernel name it.
 *
 * @example
 * import { accept, counter, ctState, meta, rule, tcp } from "nsm-sdk/linux/nftables";
 *
 * rule([
 *   meta("iifname").eq("nsm-1"),
 *   tcp("dport").in([80, "8000-8010"]),
 *   ctState("new"),
 *   counter("web"),
 *   accept(),
 * ]);
 */
export function rule(statements: readonly Statement[], { comment }: { comment?: string } = {}): FilterRule {
  if (comment !== undefined && Buffer.byteLength(comment) > longestComment) {
    throw new NsmError(
      Code.InvalidArgument,
      `the comment of a rule has at most ${longestComment} bytes: "${comment}"`,
    );
  }
  return { statements, comment };
}

/** The messages that append a rule to its chain: first those of its sets, then its own. */
export function ruleMessages(
  family: Family,
  table: string,
  chain: string,
  { statements, comment }: FilterRule,
  nextSetId: () => number,
): Request[] {
  const messages: Request[] = [];
  const known = new Set<string>();
  const steps: Attribute[] = [];
  const assure = (required: Requirement) => {
    const key = JSON.stringify(required);
    if (known.has(key)) return; // once per rule is enough
    known.add(key);
    steps.push(...requirement(required, family));
  };
  for (const statement of statements) {
    statement.requires.forEach(assure);
    const encoded = statement.encode(family, (set) => {
      const id = nextSetId();
      messages.push(...setMessages(family, table, id, set));
      return id;
    });
    steps.push(...encoded);
  }
  const attributes = [text(RULE.TABLE, table), text(RULE.CHAIN, chain), nested(RULE.EXPRESSIONS, ...steps)];
  if (comment !== undefined) attributes.push(bytes(RULE.USERDATA, commentData(comment)));
  messages.push(nftMessage(NFT_MSG.NEWRULE, family, attributes, NLM_F_CREATE | NLM_F_APPEND));
  return messages;
}

/** nft's own format: type, length, text with NUL. */
function commentData(comment: string): Buffer {
  const data = Buffer.from(`${comment}\0`);
  return Buffer.concat([Buffer.of(USERDATA_COMMENT, data.length), data]);
}
