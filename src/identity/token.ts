import { Code, NsmError, type Peer, type Token } from "../core/index.js";

/**
 * Makes the token to show to a peer: in the headers of a call to it, and in the path. Without a peer, or one
 * without certificate, the token is for nobody in particular.
 *
 * @throws NsmError INVALID_ARGUMENT when the peer's certificate has no SPIFFE id
 */
export type TokenGenerator = (peer: Peer | undefined) => Token;

/** What a token says, for whoever believes it: reading verifies nothing. */
export interface TokenClaims {
  /** How it is signed: ES256, or HS256 between peers without TLS. */
  readonly alg: string;
  /** Who made it; empty when it does not say. */
  readonly sub: string;
  /** For whom; empty when for nobody in particular. */
  readonly aud: readonly string[];
  /** Seconds since the epoch, possibly with a fraction; undefined when it does not say. */
  readonly exp: number | undefined;
}

/** The header and the claims of a token in the text form that is signed. Order and spelling are Go's. */
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
 * The claims of a token, unverified.
 *
 * Source: RFC 7515 (compact serialization) and RFC 7519.
 *
 * @throws NsmError INVALID_ARGUMENT, which says what is wrong but never shows the token
 *
 * @example
 * import { parseToken } from "nsm-sdk/identity";
 *
 * const { sub, aud } = parseToken(tokens(undefined).token);
 */
export function parseToken(text: string): TokenClaims {
  const parts = JWT.exec(text);
  if (parts === null) throw malformed("it has not three base64url parts with dots between");
  const { alg } = jsonObject(parts[1]!, "header is");
  const { sub = "", aud = [], exp } = jsonObject(parts[2]!, "claims are");
  if (typeof alg !== "string") throw malformed('its header has no "alg"');
  if (typeof sub !== "string") throw malformed('its "sub" is not a text');
  const audience = Array.isArray(aud) ? (aud as unknown[]) : [aud];
  if (!audience.every((one) => typeof one === "string")) throw malformed('its "aud" is not a list of texts');
  if (exp !== undefined && typeof exp !== "number") throw malformed('its "exp" is not a number');
  return { alg, sub, aud: audience, exp };
}

function jsonObject(part: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  } catch {
    // The parser's message quotes what it read.
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
