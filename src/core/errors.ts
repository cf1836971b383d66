/** The gRPC status codes. Defined here so that core does not depend on gRPC. */
export const Code = {
  Ok: 0,
  Cancelled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

const names = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** The name of a status code: `codeName(14)` returns `"Unavailable"`. */
export function codeName(code: number): string {
  return names.get(code) ?? `code ${code}`;
}

/**
 * The error class of this library: a gRPC status code and a message. `cause` holds the underlying error;
 * messages do not repeat the text of their causes.
 *
 * @example
 * import { Code, NsmError } from "nsm-sdk";
 *
 * throw new NsmError(Code.ResourceExhausted, `no address left in ${prefixes.join()}`);
 */
export class NsmError extends Error {
  override readonly name = "NsmError";

  constructor(
    readonly code: Code,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the same call may succeed later, unchanged. */
  get retryable(): boolean {
    return isRetryable(this.code);
  }
}

const permanent = new Set<number>([
  Code.InvalidArgument,
  Code.PermissionDenied,
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.OutOfRange,
  Code.DataLoss,
]);

/** Whether a call that failed with this code may succeed when it is repeated unchanged. */
export function isRetryable(code: number): boolean {
  return !permanent.has(code);
}

const unanswered = new Set<number>([Code.Unavailable, Code.DeadlineExceeded, Code.Cancelled]);

/**
 * Whether a call that failed with this code was refused by the other side. UNAVAILABLE, DEADLINE_EXCEEDED and CANCELED
 * are no refusals: the call may not have reached the other side at all.
 */
export function isRefusal(code: number): boolean {
  return !unanswered.has(code);
}

/** The status code of any thrown value: an NsmError, a ServiceError of grpc-js, or an abort. Default: UNKNOWN. */
export function codeOf(error: unknown): Code {
  if (error instanceof NsmError) return error.code;
  if (error instanceof Error) {
    if (error.name === "AbortError") return Code.Cancelled;
    if (error.name === "TimeoutError") return Code.DeadlineExceeded;
    const code = (error as { code?: unknown }).code;
    if (typeof code === "number" && names.has(code)) return code as Code;
  }
  return Code.Unknown;
}

/** Converts any thrown value to an NsmError with the same code. Returns an NsmError unchanged. */
export function asNsmError(error: unknown): NsmError {
  if (error instanceof NsmError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new NsmError(codeOf(error), message, { cause: error });
}

/**
 * The common code of all failures, or undefined if the codes differ. For elements that try several
 * alternatives.
 */
export function sharedCode(failures: readonly unknown[]): Code | undefined {
  const codes = new Set(failures.map(codeOf));
  return codes.size === 1 ? [...codes][0] : undefined;
}

/**
 * The message of an error with the messages of its causes, outermost first, for a log line or a terminal:
 * `every candidate refused: nse-1 is not reachable: connect ECONNREFUSED`.
 */
export function explain(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(explain).join("; ");
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${explain(error.cause)}`;
}
