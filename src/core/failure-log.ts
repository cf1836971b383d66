import type { Context } from "./context.js";
import { Code, codeName, codeOf, explain } from "./errors.js";
import { log } from "./logger.js";

/** How many ids are remembered. Beyond that, a repeated failure may be logged again. */
const REMEMBERED = 1_000;

const denials = new Set<Code>([Code.PermissionDenied, Code.Unauthenticated, Code.ResourceExhausted]);

/**
 * Logs failed calls at info level. Callers repeat what fails: the same failure of the same id is logged once, until
 * `succeeded` or another failure.
 */
export class FailureLog {
  private readonly reasons = new Map<string, string>();

  /** @param what - the call, such as `request` */
  constructor(private readonly what: string) {}

  /** Logs a failure with the call's fields; not if the caller canceled the call. */
  failed(ctx: Context, id: string, error: unknown, fields: object): void {
    const code = codeOf(error);
    const reason = explain(error);
    if (code === Code.Cancelled || this.reasons.get(id) === reason) return;
    // The oldest is the first: what is set again moves to the end.
    this.reasons.delete(id);
    this.reasons.set(id, reason);
    for (const oldest of this.reasons.keys()) {
      if (this.reasons.size <= REMEMBERED) break;
      this.reasons.delete(oldest);
    }
    const how = denials.has(code) ? "denied" : "failed";
    log(ctx).info({ ...fields, code: codeName(code), reason }, `${this.what} ${how}`);
  }

  /** A later failure is logged even if it is the same. */
  succeeded(id: string): void {
    this.reasons.delete(id);
  }
}
