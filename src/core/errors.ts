/** The gRPC status codes, so that core needs no gRPC. */
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

/** The name of a status code, for people: `codeName(14)` is `"Unavailable"`. */
export function codeName(code: number): string {
  return names.get(code) ?? `code ${code}`;
}

/**
 * The one error of this library: a gRPC status code and a sentence about what went wrong.
 * What caused it travels in `cause`; texts are not glued together.
 *
 * @example
 * throw new NsmError(Code.ResourceExhausted, `no address left in ${prefix}`);
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

  /** Whether the same call may succeed later without anybody changing it. */
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

/** Whether a call that ended in this code may succeed when repeated unchanged. */
export function isRetryable(code: number): boolean {
  return !permanent.has(code);
}

/** The status code of whatever was thrown: ours, grpc-js's ServiceError, an abort, or UNKNOWN. */
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

/** Any thrown value as an NsmError with the same code; an NsmError is returned as it is. */
export function asNsmError(error: unknown): NsmError {
  if (error instanceof NsmError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new NsmError(codeOf(error), message, { cause: error });
}

/** The code all failures agree on, or undefined. For elements that tried several ways. */
export function sharedCode(failures: readonly unknown[]): Code | undefined {
  const codes = new Set(failures.map(codeOf));
  return codes.size === 1 ? [...codes][0] : undefined;
}

/**
 * An error with the messages of its causes, outermost first, for a log line or a terminal:
 * `every candidate refused: nse-1 is not reachable: connect ECONNREFUSED`.
 */
export function explain(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(explain).join("; ");
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${explain(error.cause)}`;
}
