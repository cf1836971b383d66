import { Code, NsmError, type Peer, type Token } from "../core/index.js";

/**
 * Generates the token to show to a peer, in the headers of a call and in the path. Without a peer, or for a
 * peer without a certificate, the token has no audience.
 *
 * @throws NsmError INVALID_ARGUMENT if the peer's certificate has no SPIFFE ID
 */
export type TokenGenerator = (peer: Peer | undefined) => Token;

/** The claims of a token. Reading them verifies nothing. */
export interface TokenClaims {
  /** Signature algorithm: ES256, or HS256 between peers without TLS. */
  readonly alg: string;
  /** The issuer of the token. Empty if the token names none. */
  readonly sub: string;
  /** The audience of the token. Empty if the token names none. */
  readonly aud: readonly string[];
  /** Expiry in seconds since the epoch, possibly with a fraction. Undefined if the token has none. */
  readonly exp: number | undefined;
}

/** Encodes header and claims to the text that is signed. Order and spelling match Go's. */
export function signingInput(alg: "ES256" | "HS256", claims: Omit<TokenClaims, "alg">): string {
  const { sub, aud, exp } = claims;
  const payload = {
    ...(sub === "" ? {} : { sub }),
    ...(aud.length === 0 ? {} : { aud }),
    ...(exp === undefined ? {} : { exp }),
  };
  return `${base64url({ alg, typ: "JWT" })}.${base64url(payload)}`;
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

const JWT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)$/;

/**
 * Decodes the claims of a token without verifying it.
 *
 * Source: RFC 7515 (compact serialization) and RFC 7519.
 *
 * @throws NsmError INVALID_ARGUMENT with the defect, never with the token
 *
 * @example
 * import { parseToken } from "nsm-sdk/identity";
 *
 * const { sub, aud } = parseToken(tokens(undefined).token);
 */
export function parseToken(text: string): TokenClaims {
  const parts = JWT.exec(text);
  if (parts === null) throw malformed("expected three base64url parts, separated by dots");
  const { alg } = jsonObject(parts[1]!, "header is");
  const { sub = "", aud = [], exp } = jsonObject(parts[2]!, "claims are");
  if (typeof alg !== "string") throw malformed('its header has no "alg"');
  if (typeof sub !== "string") throw malformed('its "sub" is not a string');
  const audience = Array.isArray(aud) ? (aud as unknown[]) : [aud];
  if (!audience.every((one) => typeof one === "string"))
    throw malformed('its "aud" is not a list of strings');
  if (exp !== undefined && typeof exp !== "number") throw malformed('its "exp" is not a number');
  return { alg, sub, aud: audience, exp };
}

function jsonObject(part: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  } catch {
    // The parser's message would quote the token.
    throw malformed(`its ${name} not JSON`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw malformed(`its ${name} not a JSON object`);
}

function malformed(what: string): NsmError {
  return new NsmError(Code.InvalidArgument, `not a token: ${what}`);
}
