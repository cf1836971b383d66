import { constants, X509Certificate } from "node:crypto";
import {
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
} from "node:tls";
import { pemOf } from "./certificate.js";
import type { X509Context, X509Svid } from "./x509-source.js";

const optionsOf = new WeakMap<X509Context, SecureContextOptions>();
const contexts = new WeakMap<X509Context, SecureContext>();

/**
 * TLS options of this identity, for both sides. OpenSSL verifies a peer against all bundles together and does
 * not know SPIFFE. verifySvid() adds the missing checks.
 */
export function tlsOptions(context: X509Context): SecureContextOptions {
  let options = optionsOf.get(context);
  if (options === undefined) optionsOf.set(context, (options = makeOptions(context)));
  return options;
}

/**
 * The SecureContext of tlsOptions(). Cached per generation of the identity, because it takes milliseconds to
 * build.
 */
export function secureContextOf(context: X509Context): SecureContext {
  let secure = contexts.get(context);
  if (secure === undefined) contexts.set(context, (secure = createSecureContext(tlsOptions(context))));
  return secure;
}

function makeOptions({ svid, bundles }: X509Context): SecureContextOptions {
  return {
    ca: [...bundles.values()].flatMap((bundle) => bundle.map(anchorPem)),
    cert: svid.certificates.map(pemOf).join(""),
    key: svid.privateKey.export({ type: "pkcs8", format: "pem" }),
    minVersion: "TLSv1.2",
    // A resumed session would present a certificate that was last verified when its ticket was made.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

// X509_CERT_AUX of OpenSSL: trusted for 1.3.6.1.5.5.7.3.1 (server) and .2 (client).
const TRUSTED_FOR_TLS = Buffer.from("3016301406082b0601050507030106082b06010505070302", "hex");

/**
 * Marks the certificate as a trust anchor. A bundle may contain an authority that another one signed, but
 * OpenSSL ends chains only at self-signed or marked certificates. Node's `allowPartialTrustChain` has the
 * same effect, but a server loses it when its certificate is replaced.
 */
function anchorPem(certificate: X509Certificate): string {
  const lines = Buffer.concat([certificate.raw, TRUSTED_FOR_TLS])
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN TRUSTED CERTIFICATE-----\n${lines.join("\n")}\n-----END TRUSTED CERTIFICATE-----\n`;
}

/** The certificates of a peer, from the leaf up to the root. Empty if it showed none. */
export function peerChain(shown: PeerCertificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<PeerCertificate>();
  let next = shown as (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined;
  // A self-signed certificate is its own issuer. Without a certificate, Node returns an empty object.
  while (next?.raw !== undefined && !seen.has(next)) {
    seen.add(next);
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

const shownTo = new WeakMap<X509Certificate, X509Svid>();

/**
 * Remembers which SVID a TLS session showed to `peer`. Tokens for that peer must be signed with its key, even
 * if the identity has rotated since. Sessions that share the object `peer` must have shown the same SVID.
 */
export function rememberShown(peer: X509Certificate, own: X509Svid): void {
  shownTo.set(peer, own);
}

/** The SVID shown in the session of `peer`. Undefined if `peer` is from none of the own sessions. */
export function svidShownTo(peer: X509Certificate): X509Svid | undefined {
  return shownTo.get(peer);
}
