import { Code, NsmError, type Token } from "../core/index.js";

/** The header that carries the caller's token. */
export const TOKEN_HEADER = "nsm-client-token";
/** The header that carries the expiry of the token. */
export const TOKEN_EXPIRES_HEADER = "nsm-client-token-expires";

/** Headers to read: a grpc-js Metadata, or a Map of lists. */
export interface HeaderValues {
  get(name: string): readonly (string | Uint8Array)[] | undefined;
}

/**
 * The two headers that a caller sends with every call. The time is RFC 3339 in UTC with as many decimals as
 * needed.
 *
 * @throws NsmError OUT_OF_RANGE if the year of the expiry is not from 0 to 9999
 */
export function tokenHeaders(token: Token): Readonly<Record<string, string>> {
  return { [TOKEN_HEADER]: token.token, [TOKEN_EXPIRES_HEADER]: formatTime(token.expires) };
}

/**
 * Returns the token that a caller sent. Each header must occur exactly once, and the time must be valid (any
 * zone offset). Otherwise the caller counts as having sent no token.
 */
export function tokenFromHeaders(headers: HeaderValues): Token | undefined {
  const token = onlyText(headers, TOKEN_HEADER);
  const expires = parseTime(onlyText(headers, TOKEN_EXPIRES_HEADER) ?? "");
  // Node's HTTP/2 joins repeated headers with a comma, which no token contains.
  if (token === undefined || token.includes(",") || expires === undefined) return undefined;
  return { token, expires };
}

function onlyText(headers: HeaderValues, name: string): string | undefined {
  const values = headers.get(name) ?? [];
  const [value] = values;
  return values.length === 1 && typeof value === "string" && value !== "" ? value : undefined;
}

function formatTime({ seconds, nanos }: Token["expires"]): string {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) {
    throw new NsmError(
      Code.OutOfRange,
      `a token cannot expire at ${seconds} s since 1970; the year must have 4 digits`,
    );
  }
  const decimals = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  return `${date.toISOString().slice(0, 19)}${decimals}Z`;
}

const RFC3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;

function parseTime(text: string): Token["expires"] | undefined {
  const parts = RFC3339.exec(text);
  if (parts === null) return undefined;
  const [, local, decimals = "", sign, hours = "0", minutes = "0"] = parts;
  const utc = Date.parse(`${local}Z`);
  // Date.parse accepts February 30 as March 2.
  if (Number.isNaN(utc) || new Date(utc).toISOString().slice(0, 19) !== local) return undefined;
  if (Number(hours) > 24 || Number(minutes) > 59) return undefined;
  const offset = (Number(hours) * 60 + Number(minutes)) * 60 * (sign === "-" ? -1 : 1);
  return { seconds: utc / 1000 - offset, nanos: Number(decimals.slice(0, 9).padEnd(9, "0")) };
}
