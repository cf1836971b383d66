import { z } from "zod";
import { Code, NsmError } from "../../../core/index.js";
import { expand } from "./expand.js";
import type { CheckedRule, Problem, Rule, RuleSet } from "./rule.js";
import { EarlierRules } from "./shadow.js";
import { icmpTypeOrName, oneOrMany, parsed, portRange, prefix, protocol, ruleName, word } from "./values.js";

const ruleSchema = z.strictObject({
  name: parsed(ruleName),
  action: parsed(word("allow", "deny")),
  protocol: parsed(protocol).optional(),
  from: oneOrMany(prefix).optional(),
  to: oneOrMany(prefix).optional(),
  ports: oneOrMany(portRange).optional(),
  icmp: oneOrMany(icmpTypeOrName).optional(),
  direction: parsed(word("from-client", "to-client", "both")).optional(),
});

/**
 * Checks rules from code in the same way as rules from a file.
 *
 * @throws NsmError INVALID_ARGUMENT with the rule and its problem.
 * @example
 * import { checkRules } from "nsm-sdk/elements/firewall";
 *
 * const rules = checkRules([{ name: "web", action: "allow", protocol: "tcp", ports: [80, "8000-8010"] }]);
 */
export function checkRules(rules: readonly Rule[]): RuleSet {
  const read = readRules(rules);
  if ("rules" in read) return read;
  throw new NsmError(Code.InvalidArgument, read.problems[0]!.message);
}

/** The rules in a list of any values, or all their problems. */
export function readRules(list: readonly unknown[]): RuleSet | { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const rules: CheckedRule[] = [];
  const earlier = new EarlierRules();
  const positions = new Map<string, number>();
  list.forEach((value, i) => {
    const result = ruleSchema.safeParse(value);
    const refuse = ({ path, message }: Problem) => problems.push(labelled(value, i, path, message));
    if (!result.success) {
      schemaProblems(result.error, ruleSchema, "a rule").forEach(refuse);
      return;
    }
    const { name, action } = result.data;
    const matches = expand(result.data);
    if (!("length" in matches)) {
      refuse(matches);
      return;
    }
    const rule = { name, action, matches };
    const twin = positions.get(name);
    const takers = earlier.shadowing(rule);
    if (twin !== undefined) refuse({ path: ["name"], message: `rule ${twin + 1} has the same name` });
    else if (takers) {
      const before = takers.map((taker) => `"${taker.name}"`).join(" and ");
      refuse({ path: [], message: `can never match: earlier rules cover it completely: ${before}` });
    }
    if (twin === undefined) positions.set(name, rules.length);
    earlier.add(rule);
    rules.push(rule);
  });
  return problems.length > 0 ? { problems } : { rules };
}

/** Converts the issues of zod to one problem per value or key. */
export function schemaProblems(error: z.ZodError, schema: z.ZodObject, what: string): readonly Problem[] {
  const keys = Object.keys(schema.shape).join(", ");
  // A misspelled key is also missing. Report only the misspelling, which is more helpful.
  const unknown = error.issues.filter(({ code }) => code === "unrecognized_keys");
  return (unknown.length > 0 ? unknown : error.issues).flatMap((issue): readonly Problem[] => {
    const path = issue.path.filter((part) => typeof part !== "symbol");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: `not a key of ${what}: allowed are ${keys}`,
      }));
    }
    if (path.length > 0) return [{ path, message: issue.message }];
    return [{ path, message: `is not a map: ${what} has the keys ${keys}` }];
  });
}

function labelled(value: unknown, index: number, path: Problem["path"], message: string): Problem {
  const name = (value as { name?: unknown } | null | undefined)?.name;
  const label = typeof name === "string" && name !== "" ? `rule "${name}"` : `rule ${index + 1}`;
  return { path: [index, ...path], message: problemText(label, path, message) };
}

/** `rule "web": ports: "90-80" ends before it begins` */
export function problemText(label: string, [key]: Problem["path"], message: string): string {
  return `${label}: ${key === undefined ? "" : `${key}: `}${message}`;
}
