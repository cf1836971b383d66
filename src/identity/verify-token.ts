import { verify, X509Certificate, type KeyObject } from "node:crypto";
import { BoundedMap } from "./bounded-map.js";
import { publicKeyOf } from "./certificate.js";
import { parseToken } from "./token.js";

// A peer uses a new token every minute or with each call. Older ones are rarely needed again.
const MOST_TOKENS_PER_KEY = 64;

// Keyed by the object that holds the key, so that entries disappear with their TLS session.
const verified = new WeakMap<KeyObject | X509Certificate, BoundedMap<string, true>>();

/**
 * Returns whether the token has a valid ES256 signature by this key. Other algorithms count as invalid. Does
 * not check the expiry. Positive results are cached by token and key object: pass the peer's certificate
 * instead of its `publicKey`, which is a new object each time.
 *
 * @example
 * import { Code, NsmError } from "nsm-sdk";
 * import { verifyToken } from "nsm-sdk/identity";
 *
 * const { svid } = source.current();
 * const { token } = tokens(undefined);
 * if (!verifyToken(token, svid.certificates[0]!)) throw new NsmError(Code.PermissionDenied, "a forged token");
 */
export function verifyToken(token: string, signer: KeyObject | X509Certificate): boolean {
  let tokens = verified.get(signer);
  if (tokens?.get(token)) return true;
  const key = signer instanceof X509Certificate ? publicKeyOf(signer) : signer;
  if (!validSignature(token, key)) return false;
  if (tokens === undefined) verified.set(signer, (tokens = new BoundedMap(MOST_TOKENS_PER_KEY)));
  tokens.set(token, true);
  return true;
}

function validSignature(token: string, key: KeyObject): boolean {
  // Only ECDSA P-256 keys make ES256 signatures, whatever the header claims.
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1" || algorithmOf(token) !== "ES256") return false;
  const dot = token.lastIndexOf(".");
  const signature = Buffer.from(token.slice(dot + 1), "base64url");
  return verify("sha256", Buffer.from(token.slice(0, dot)), { key, dsaEncoding: "ieee-p1363" }, signature);
}

function algorithmOf(token: string): string | undefined {
  try {
    return parseToken(token).alg;
  } catch {
    // Text that is not a token has no valid signature.
    return undefined;
  }
}
