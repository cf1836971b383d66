import { createHmac, randomBytes } from "node:crypto";
import { systemClock, type Clock } from "../core/index.js";
import { DEFAULT_TOKEN_LIFETIME_MS } from "./svid-tokens.js";
import { issuedToken, reusable, type IssuedToken } from "./token-cache.js";
import { signingInput, type TokenGenerator } from "./token.js";

/** Options of unsigned identities. */
export interface InsecureTokensOptions {
  readonly clock?: Clock | undefined;
  /** The identity to claim. Default: none. */
  readonly subject?: string | undefined;
  /** How long a token lives, in milliseconds. Zero or less makes expired tokens. Default: 600,000. */
  readonly maxLifetimeMs?: number | undefined;
}

/**
 * Generates tokens for peers without TLS. They are signed (HS256) with a random key known to no other
 * process, so they prove nothing. Peers still need them: the token's expiry limits the lifetime of a
 * connection.
 *
 * @example
 * import { insecureTokens } from "nsm-sdk/identity";
 *
 * const tokens = insecureTokens({ subject: "nsc" });
 * const { expires } = tokens(undefined);
 */
export function insecureTokens(options: InsecureTokensOptions = {}): TokenGenerator {
  const { clock = systemClock, subject = "", maxLifetimeMs = DEFAULT_TOKEN_LIFETIME_MS } = options;
  const key = randomBytes(32);
  let last: IssuedToken | undefined;
  return () => {
    const now = clock.now();
    if (!reusable(last, now)) {
      const expires = now + maxLifetimeMs;
      const input = signingInput("HS256", { sub: subject, aud: [], exp: Math.floor(expires / 1000) });
      const signature = createHmac("sha256", key).update(input).digest("base64url");
      last = issuedToken(`${input}.${signature}`, now, expires);
    }
    return last.token;
  };
}
