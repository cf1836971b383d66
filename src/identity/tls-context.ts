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
 * How TLS is spoken with this identity, on both sides. OpenSSL verifies a peer against all bundles at once and
 * knows nothing of SPIFFE; verifySvid() adds what is missing.
 */
export function tlsOptions(context: X509Context): SecureContextOptions {
  let options = optionsOf.get(context);
  if (options === undefined) optionsOf.set(context, (options = makeOptions(context)));
  return options;
}

/** The context built of tlsOptions(): one for each generation of an identity, because building takes milliseconds. */
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
    // A resumed session would show a certificate that nobody has verified since the ticket was made.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

// X509_CERT_AUX of OpenSSL: trusted for 1.3.6.1.5.5.7.3.1 (server) and .2 (client).
const TRUSTED_FOR_TLS = Buffer.from("3016301406082b0601050507030106082b06010505070302", "hex");

/**
 * The certificate as one a chain may end at. A bundle may hold an authority that another one signed; OpenSSL ends
 * chains only at self-signed certificates or at those marked like this. Node's `allowPartialTrustChain` says
 * the same, but a server forgets it when its certificate is replaced.
 */
function anchorPem(certificate: X509Certificate): string {
  const lines = Buffer.concat([certificate.raw, TRUSTED_FOR_TLS])
    .toString("base64")
    .match(/.{1,64}/g)!;
  return `-----BEGIN TRUSTED CERTIFICATE-----\n${lines.join("\n")}\n-----END TRUSTED CERTIFICATE-----\n`;
}

/** The certificates of a peer, leaf first, in the order of who signed whom; none when it showed none. */
export function peerChain(shown: PeerCertificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<PeerCertificate>();
  let next = shown as (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined;
  // A self-signed certificate is its own issuer. Without a certificate Node gives an empty object.
  while (next?.raw !== undefined && !seen.has(next)) {
    seen.add(next);
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return chain;
}

const shownTo = new WeakMap<X509Certificate, X509Svid>();

/**
 * Remembers which SVID a TLS session showed to the peer that showed `peer` in it: tokens for that peer must be
 * signed by that key, although the identity may have rotated since. `peer` is an object of sessions that showed the
 * same SVID.
 */
export function rememberShown(peer: X509Certificate, own: X509Svid): void {
  shownTo.set(peer, own);
}

/** The SVID shown in the session that `peer` comes from; undefined when it comes from none of ours. */
export function svidShownTo(peer: X509Certificate): X509Svid | undefined {
  return shownTo.get(peer);
}
