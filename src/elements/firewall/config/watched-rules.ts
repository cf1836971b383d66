import type { Observable } from "rxjs";
import { Code, explain, NsmError, type Clock } from "../../../core/index.js";
import { readText, watchFiles, type Reading } from "../../../files/index.js";
import { errnoText } from "../../../linux/errno.js";
import { parseRules } from "./parse-rules.js";
import type { RuleSet } from "../rules/rule.js";

/** A source of rules that may change. */
export interface RulesSource {
  current(): RuleSet;
  /** Emits current() after each change. Completes on close(). */
  readonly changes: Observable<RuleSet>;
  /** Emits why changed rules were rejected. current() stays the same. */
  readonly refusals: Observable<NsmError>;
  close(): void;
}

/** Options of watchedRules(). */
export interface WatchedRulesOptions {
  readonly clock?: Clock | undefined;
  /** How often the file is read even if its directory reports no change, in milliseconds. Default: 60,000. */
  readonly recheckMs?: number | undefined;
  /** Reports that the directory cannot be watched, so that changes are found late. Default: a warning of the process. */
  readonly onProblem?: ((problem: NsmError) => void) | undefined;
}

/**
 * Watches the rules in a file (see parseRules). It detects a file that is written in place (also behind a
 * symlink), a rename onto the file, and a replaced symlink as in Kubernetes volumes. If the file becomes
 * invalid or empty, the rules stay the same and the error is reported once.
 *
 * @throws NsmError with file, line and reason, if the file is invalid at the start
 * @example
 * import { firewall, watchedRules } from "nsm-sdk/elements/firewall";
 *
 * const rules = await watchedRules("/etc/firewall/config.yaml");
 * const wall = firewall({ name: "firewall-1", rules });
 */
export async function watchedRules(file: string, options: WatchedRulesOptions = {}): Promise<RulesSource> {
  const { onProblem = warn } = options;
  let last: Reading<RuleSet> | undefined;
  const read = async (): Promise<Reading<RuleSet>> => {
    const text = await textOf(file);
    // Other files of the directory may change often.
    if (text !== last?.text) last = { text, value: parseRules(text, file) };
    return last;
  };
  const { failures, ...rules } = await watchFiles({ ...options, files: [file], read, onProblem });
  return { ...rules, refusals: failures };
}

async function textOf(file: string): Promise<string> {
  try {
    return await readText(file);
  } catch (error) {
    if (error instanceof NsmError) throw error;
    const { code = "EIO" } = error as NodeJS.ErrnoException;
    throw new NsmError(Code.NotFound, `cannot read the rules in ${file}: ${errnoText(code)}`);
  }
}

function warn(problem: NsmError): void {
  process.emitWarning(explain(problem), "NsmFirewallWarning");
}
