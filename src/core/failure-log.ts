import type { Context } from "./context.js";
import { Code, codeName, codeOf, explain } from "./errors.js";
import { log } from "./logger.js";

/** Maximum number of ids whose last failure is stored. Beyond this, a repeated failure may be logged again. */
const REMEMBERED = 1_000;

const denials = new Set<Code>([Code.PermissionDenied, Code.Unauthenticated, Code.ResourceExhausted]);

/**
 * Logs failed calls at info level. Callers retry failed calls, so the same failure of the same id is logged
 * only once, until `succeeded` is called or the failure changes.
 */
export class FailureLog {
  private readonly reasons = new Map<string, string>();

  /** @param what - the call, such as `request` */
  constructor(private readonly what: string) {}

  /** Logs a failure with the fields of the call. Does nothing if the caller canceled the call. */
  failed(ctx: Context, id: string, error: unknown, fields: object): void {
    const code = codeOf(error);
    const reason = explain(error);
    if (code === Code.Cancelled || this.reasons.get(id) === reason) return;
    // Deleting first moves the entry to the end, so the first entry is the oldest.
    this.reasons.delete(id);
    this.reasons.set(id, reason);
    for (const oldest of this.reasons.keys()) {
      if (this.reasons.size <= REMEMBERED) break;
      this.reasons.delete(oldest);
    }
    const how = denials.has(code) ? "denied" : "failed";
    log(ctx).info({ ...fields, code: codeName(code), reason }, `${this.what} ${how}`);
  }

  /** The next failure of the id is logged even if it is unchanged. */
  succeeded(id: string): void {
    this.reasons.delete(id);
  }
}
