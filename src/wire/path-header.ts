import { Code, NsmError } from "../core/index.js";
import { type RegistrationPath } from "./registration-path.js";

/** The header that carries the path of a Register or Unregister, in both directions. */
export const PATH_HEADER = "path";

/**
 * Maximum length of an encoded path. Node's HTTP/2 rejects any single header above 64 KiB after compression,
 * regardless of its settings, and may never answer such a call. Checking before sending gives a clear error.
 */
export const MAX_PATH_LENGTH = 65_536;

/**
 * Encodes the registration path as header text.
 *
 * Source: NSM protocol, `path` value for registry calls.
 *
 * @throws NsmError RESOURCE_EXHAUSTED if the text does not fit into a header
 */
export function encodePath({ index, segments }: RegistrationPath): string {
  // Go peers encode an empty list as null.
  const list = segments.length === 0 ? null : segments.map(({ token }) => ({ token }));
  const text = JSON.stringify({ Index: index, PathSegments: list }).replace(/[^ -~]/g, escapeUnit);
  if (text.length > MAX_PATH_LENGTH) {
    throw new NsmError(
      Code.ResourceExhausted,
      `the registration path of ${segments.length} segments is ${text.length} bytes long; a header holds ${MAX_PATH_LENGTH}`,
    );
  }
  return text;
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Parses the header. Returns undefined for invalid text; the call then counts as having no path. */
export function decodePath(text: string): RegistrationPath | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const index = field(value, "index") ?? 0;
  const list = field(value, "pathsegments") ?? [];
  if (!Number.isInteger(index) || (index as number) < 0 || !Array.isArray(list)) return undefined;
  const tokens = list.map((segment) => field(segment, "token") ?? "");
  if (!tokens.every((token) => typeof token === "string")) return undefined;
  return { index: index as number, segments: tokens.map((token) => ({ token })) };
}

// Go decodes field names in any letter case, so a Go hop may forward any.
function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key.toLowerCase() === name)?.[1] as unknown;
}
