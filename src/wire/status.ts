import { asNsmError, Code, codeOf, explain, NsmError } from "../core/index.js";

/** How a call ended, as it travels. */
export interface WireStatus {
  readonly code: Code;
  readonly details: string;
}

// Enough for a dozen hops that each add a sentence; peers limit headers.
const MAX_DETAILS = 4_096;

// Callers choose what an error quotes: a match may begin only where a word does, or long words take for ever.
const TOKEN = /(?<![\w-])(?=[\w-]*?\beyJ[\w-])[\w-]+\.[\w-]+\.[\w-]*/g;
const TOKEN_BEGIN = /\beyJ[\w-]/;
const PEM = /-----BEGIN [^-]+-----[^-]*(-----END [^-]+-----)?/g;

/** Whether the error was thrown on purpose: it carries a code. Anything else is a mistake in some element. */
export function isExpected(error: unknown): boolean {
  return error instanceof NsmError || codeOf(error) !== Code.Unknown;
}

/**
 * What a caller gets to know of an error: its code, its sentence and those of its causes, without tokens and
 * keys. A mistake in the code (a TypeError, say) is INTERNAL.
 */
export function statusOf(error: unknown): WireStatus {
  if (!isExpected(error)) return { code: Code.Internal, details: clean(`internal error: ${explain(error)}`) };
  const { code } = asNsmError(error);
  // An error cannot say OK: the caller would wait for an answer that is not there.
  return { code: code === Code.Ok ? Code.Unknown : code, details: clean(explain(error)) };
}

/** The text with tokens, keys and certificates blotted out. */
export function withoutSecrets(text: string): string {
  return text
    .replace(TOKEN, (words) => `${words.slice(0, words.search(TOKEN_BEGIN))}<token>`)
    .replace(PEM, "<key or certificate>");
}

function clean(text: string): string {
  const safe = withoutSecrets(text);
  const short = safe.length > MAX_DETAILS ? `${safe.slice(0, MAX_DETAILS)} …` : safe;
  // Half a character cannot be encoded for the wire.
  return short.replace(/\p{Surrogate}/gu, "\ufffd");
}
