import { Code, NsmError } from "../core/index.js";
import { type RegistrationPath } from "./registration-path.js";

/** The header in which the path of a Register or Unregister travels, in both directions. */
export const PATH_HEADER = "path";

/**
 * How long a path may be as text. Node's HTTP/2 refuses a single header of more than 64 KiB after compression,
 * whatever its settings, and the answer to a refused one may never come: better to say so before sending.
 */
export const MAX_PATH_LENGTH = 65_536;

/**
 * The registration path as header text.
 *
 * Source: NSM protocol, `path` value for registry calls.
 *
 * @throws NsmError RESOURCE_EXHAUSTED when it is longer than a header may be
 */
export function encodePath({ index, segments }: RegistrationPath): string {
  // A Go peer writes a list without elements as null.
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

/** The path a header says; undefined when that is no path, in which case the call counts as having none. */
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

// Go reads field names in any letter case, so what passed a Go hop may have any.
function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).find(([key]) => key.toLowerCase() === name)?.[1] as unknown;
}
