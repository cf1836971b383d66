import { asNsmError, Code, codeOf, explain, NsmError } from "../core/index.js";

/** The status of a finished call, as sent to the peer. */
export interface WireStatus {
  readonly code: Code;
  readonly details: string;
}

// Enough for a dozen hops that add one sentence each. Peers limit the size of headers.
const MAX_DETAILS = 4_096;

// Callers control the text that an error quotes. A match may start only at a word start: otherwise long words
// take quadratic time or worse.
const TOKEN = /(?<![\w-])(?=[\w-]*?\beyJ[\w-])[\w-]+\.[\w-]+\.[\w-]*/g;
const TOKEN_BEGIN = /\beyJ[\w-]/;
const PEM = /-----BEGIN [^-]+-----[^-]*(-----END [^-]+-----)?/g;

/** Whether the error was thrown deliberately, with a code. Any other error is a defect in an element. */
export function isExpected(error: unknown): boolean {
  return error instanceof NsmError || codeOf(error) !== Code.Unknown;
}

/**
 * The status that a caller receives for an error: its code, its message and those of its causes, without
 * tokens and keys. An unexpected error (such as a TypeError) becomes INTERNAL.
 */
export function statusOf(error: unknown): WireStatus {
  if (!isExpected(error)) return { code: Code.Internal, details: clean(`internal error: ${explain(error)}`) };
  const { code } = asNsmError(error);
  // A failed call must not end with OK: the caller would wait for an answer that never comes.
  return { code: code === Code.Ok ? Code.Unknown : code, details: clean(explain(error)) };
}

/** Replaces tokens, keys and certificates in the text. */
export function withoutSecrets(text: string): string {
  return text
    .replace(TOKEN, (words) => `${words.slice(0, words.search(TOKEN_BEGIN))}<token>`)
    .replace(PEM, "<key or certificate>");
}

function clean(text: string): string {
  const safe = withoutSecrets(text);
  const short = safe.length > MAX_DETAILS ? `${safe.slice(0, MAX_DETAILS)} …` : safe;
  // A lone surrogate cannot be encoded as UTF-8.
  return short.replace(/\p{Surrogate}/gu, "\ufffd");
}
