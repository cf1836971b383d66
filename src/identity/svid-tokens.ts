import { sign } from "node:crypto";
import { toTimestamp } from "../api/index.js";
import { systemClock, type Clock } from "../core/index.js";
import { BoundedMap } from "./bounded-map.js";
import { spiffeIdOf, validUntil } from "./certificate.js";
import { svidShownTo } from "./tls-context.js";
import { issuedToken, reusable, type IssuedToken } from "./token-cache.js";
import { signingInput, type TokenGenerator } from "./token.js";
import type { X509Source, X509Svid } from "./x509-source.js";

/** Source and lifetime of signed tokens. */
export interface SvidTokensOptions {
  readonly source: Pick<X509Source, "current">;
  readonly clock?: Clock | undefined;
  /** The longest life of a token, in milliseconds. Zero or less makes expired tokens. Default: 600,000. */
  readonly maxLifetimeMs?: number | undefined;
}

/** Default lifetime of tokens: ten minutes. */
export const DEFAULT_TOKEN_LIFETIME_MS = 600_000;

// Audiences come from the network. The limit exceeds the expected number of concurrent peers.
const MOST_AUDIENCES = 1_024;

/**
 * Generates tokens signed with the key of the process's certificate (ES256). A token for a peer is signed
 * with the key that the peer saw in its TLS session. Calls on a connection made before a rotation therefore
 * still verify. Other tokens use the newest key.
 *
 * A token expires no later than its issuer's certificate. The expiry returned with it also respects the
 * peer's certificate.
 *
 * Source: NSM protocol, token format.
 *
 * @example
 * import { svidTokens } from "nsm-sdk/identity";
 *
 * const tokens = svidTokens({ source });
 * const { token, expires } = tokens(undefined);
 */
export function svidTokens(options: SvidTokensOptions): TokenGenerator {
  const { source, clock = systemClock, maxLifetimeMs = DEFAULT_TOKEN_LIFETIME_MS } = options;
  const cache = new WeakMap<X509Svid, BoundedMap<string, IssuedToken>>();

  const issue = (svid: X509Svid, audience: string, now: number): IssuedToken => {
    const expires = Math.min(now + maxLifetimeMs, svid.expires.getTime());
    const input = signingInput("ES256", {
      sub: svid.id.toString(),
      aud: audience === "" ? [] : [audience],
      exp: Math.floor(expires / 1000),
    });
    const signature = sign("sha256", Buffer.from(input), {
      key: svid.privateKey,
      dsaEncoding: "ieee-p1363",
    });
    return issuedToken(`${input}.${signature.toString("base64url")}`, now, expires);
  };

  return (peer) => {
    const now = clock.now();
    const theirs = peer?.certificate;
    const svid = (theirs && svidShownTo(theirs)) ?? source.current().svid;
    const audience = theirs ? spiffeIdOf(theirs).toString() : "";

    let tokens = cache.get(svid);
    if (tokens === undefined) cache.set(svid, (tokens = new BoundedMap(MOST_AUDIENCES)));
    let issued = tokens.get(audience);
    if (!reusable(issued, now)) {
      issued = issue(svid, audience, now);
      tokens.set(audience, issued);
    }
    const limit = theirs ? validUntil(theirs) : Infinity;
    return limit < issued.expires ? { ...issued.token, expires: toTimestamp(limit) } : issued.token;
  };
}
