import { verify, X509Certificate, type KeyObject } from "node:crypto";
import { BoundedMap } from "./bounded-map.js";
import { publicKeyOf } from "./certificate.js";
import { parseToken } from "./token.js";

// A peer shows a new token every minute or with each call; what it showed before is not asked again for long.
const MOST_TOKENS_PER_KEY = 64;

// By the object that holds the key, so that what was verified is forgotten with the TLS session it came from.
const verified = new WeakMap<KeyObject | X509Certificate, BoundedMap<string, true>>();

/**
 * Whether the token has a valid ES256 signature by this key; other ways of signing are refused, and an expiry is
 * not looked at. Verdicts of yes are remembered by token and key object, so pass the certificate of the peer
 * rather than its `publicKey`, which is a new object each time.
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
  // Another key than ECDSA P-256 makes no ES256 signature, whatever the header says.
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1" || algorithmOf(token) !== "ES256") return false;
  const dot = token.lastIndexOf(".");
  const signature = Buffer.from(token.slice(dot + 1), "base64url");
  return verify("sha256", Buffer.from(token.slice(0, dot)), { key, dsaEncoding: "ieee-p1363" }, signature);
}

function algorithmOf(token: string): string | undefined {
  try {
    return parseToken(token).alg;
  } catch {
    // What is not a token has no signature either: the verdict is no.
    return undefined;
  }
}
