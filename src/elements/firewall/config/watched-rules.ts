import { realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Subject, type Observable } from "rxjs";
import { Code, explain, NsmError, systemClock, type CancelTimer, type Clock } from "../../../core/index.js";
import { readText } from "../../../files/index.js";
import { directoryWatch } from "../../../files/index.js";
import { SerialQueue } from "../../../core/serial-queue.js";
import { errnoText } from "../../../linux/index.js";
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

const RECHECK_MS = 60_000;

// A file that is written in place is briefly empty or incomplete, so two consecutive reads must agree.
const SETTLE_MS = 50;

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
  const { clock = systemClock, recheckMs = RECHECK_MS, onProblem = warn } = options;
  let contents = await read(file);
  let current = parseRules(contents, file);
  const changes = new Subject<RuleSet>();
  const refusals = new Subject<NsmError>();
  let closed = false;
  let reported: string | undefined;
  let seen: string | NsmError | undefined;
  let cancel: CancelTimer | undefined;

  const turns = new SerialQueue();

  const lookSoon = (): void => {
    if (closed) return;
    cancel ??= clock.after(SETTLE_MS, () => {
      cancel = undefined; // an event during the read starts another read
      void turns.run(look);
    });
  };
  const look = async (): Promise<void> => {
    const found = await read(file).catch((error: NsmError) => error);
    if (closed) return;
    await followTarget();
    const settled = textOf(found) === textOf(seen);
    seen = found;
    if (found === contents) reported = undefined;
    else if (settled) take(found);
    else lookSoon();
  };
  const take = (found: string | NsmError): void => {
    try {
      if (typeof found !== "string") throw found;
      current = parseRules(found, file);
      contents = found;
      reported = undefined;
    } catch (error) {
      const text = explain(error);
      if (text !== reported) refusals.next(error as NsmError);
      reported = text;
      return;
    }
    changes.next(current);
  };

  const watchDirectory = (directory: string): { close(): void } =>
    directoryWatch({
      directory,
      clock,
      recheckMs,
      onEvent: lookSoon,
      onRecheck: lookSoon,
      onFailure: (cause) => {
        const text = `cannot watch the directory of ${file}: the file is read every ${recheckMs} ms instead`;
        onProblem(new NsmError(Code.FailedPrecondition, text, { cause }));
      },
    });
  const named = dirname(resolve(file));
  const watch = watchDirectory(named);
  // Behind a symlink, the file is in another directory. The watch of the first directory does not report its
  // changes.
  let target: { directory: string; close(): void } | undefined;
  const followTarget = async (): Promise<void> => {
    const [home, directory] = await Promise.all([realpath(named), realpath(file).then(dirname)]).catch(
      () => [],
    );
    if (closed || directory === undefined || directory === (target?.directory ?? home)) return;
    target?.close();
    target = directory === home ? undefined : { directory, ...watchDirectory(directory) };
    lookSoon();
  };

  // Detects changes between the first read and the start of the watch.
  lookSoon();
  return {
    current: () => current,
    changes: changes.asObservable(),
    refusals: refusals.asObservable(),
    close() {
      closed = true;
      cancel?.();
      watch.close();
      target?.close();
      changes.complete();
      refusals.complete();
    },
  };
}

async function read(file: string): Promise<string> {
  try {
    return await readText(file);
  } catch (error) {
    if (error instanceof NsmError) throw error;
    const { code = "EIO" } = error as NodeJS.ErrnoException;
    throw new NsmError(Code.NotFound, `cannot read the rules in ${file}: ${errnoText(code)}`);
  }
}

function textOf(found: string | NsmError | undefined): string | undefined {
  return typeof found === "string" || found === undefined ? found : `unreadable: ${found.message}`;
}

function warn(problem: NsmError): void {
  process.emitWarning(explain(problem), "NsmFirewallWarning");
}
