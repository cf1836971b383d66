import { X509Certificate, type KeyObject } from "node:crypto";
import { Code, NsmError } from "../core/index.js";
import { derElements, spiffeExtensions, type SpiffeExtensions } from "./der.js";
import { SpiffeId } from "./spiffe-id.js";

/** Cached properties of a certificate. Each takes 50-150 µs to compute. */
interface Details {
  pem?: string;
  publicKey?: KeyObject;
  extensions?: SpiffeExtensions;
  id?: SpiffeId;
  from?: number;
  until?: number;
}

const known = new WeakMap<X509Certificate, Details>();

function details(certificate: X509Certificate): Details {
  let found = known.get(certificate);
  if (found === undefined) known.set(certificate, (found = {}));
  return found;
}

/** The certificate as PEM text, as policies see it. Cached per object. */
export function pemOf(certificate: X509Certificate): string {
  return (details(certificate).pem ??= certificate.toString());
}

/** The certificate's public key. Cached per object, unlike `certificate.publicKey`. */
export function publicKeyOf(certificate: X509Certificate): KeyObject {
  return (details(certificate).publicKey ??= certificate.publicKey);
}

/** Start of validity, in milliseconds since the epoch. */
export function validFrom(certificate: X509Certificate): number {
  return (details(certificate).from ??= Date.parse(certificate.validFrom));
}

/** End of validity, in milliseconds since the epoch, in whole seconds. */
export function validUntil(certificate: X509Certificate): number {
  return (details(certificate).until ??= Date.parse(certificate.validTo));
}

/** The URIs and key usages of the certificate. Cached per object. */
export function extensionsOf(certificate: X509Certificate): SpiffeExtensions {
  return (details(certificate).extensions ??= spiffeExtensions(certificate.raw));
}

/**
 * Returns the SPIFFE ID of the certificate. The certificate must have exactly one URI among its names, and it
 * must be a SPIFFE ID. Does not verify the signature.
 *
 * Source: X509-SVID standard, section 2.
 *
 * @throws NsmError INVALID_ARGUMENT if there is no URI, more than one, or a malformed ID
 */
export function spiffeIdOf(certificate: X509Certificate): SpiffeId {
  return (details(certificate).id ??= readId(certificate));
}

function readId(certificate: X509Certificate): SpiffeId {
  const { uris } = extensionsOf(certificate);
  const [uri] = uris;
  if (uri === undefined || uris.length > 1) {
    const had = uri === undefined ? "none" : uris.map((text) => JSON.stringify(text)).join(", ");
    throw new NsmError(
      Code.InvalidArgument,
      `the certificate must have exactly one URI, its SPIFFE ID; it has ${had}`,
    );
  }
  return SpiffeId.parse(uri);
}

const PEM_BEGIN = "-----BEGIN CERTIFICATE-----";
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** One or more certificates: objects, PEM text or bytes, or DER bytes. Text and bytes may hold several. */
export type CertificateInput = X509Certificate | string | Uint8Array;

/**
 * Parses certificates in any of these forms. Keeps their order.
 *
 * @throws NsmError INVALID_ARGUMENT if there is no certificate, or one cannot be parsed
 */
export function parseCertificates(input: CertificateInput | readonly CertificateInput[]): X509Certificate[] {
  if (Array.isArray(input)) return (input as readonly CertificateInput[]).flatMap((one) => parse(one));
  return parse(input as CertificateInput);
}

function parse(input: CertificateInput): X509Certificate[] {
  if (input instanceof X509Certificate) return [input];
  const text = typeof input === "string" ? input : Buffer.from(input).toString("latin1");
  const begun = text.split(PEM_BEGIN).length - 1;
  if (begun === 0 && typeof input === "string") {
    throw new NsmError(Code.InvalidArgument, `no certificate: expected a PEM block ${PEM_BEGIN}`);
  }
  const pems = text.match(PEM_CERTIFICATE) ?? [];
  // The file is still being written. Using only the complete blocks would silently lose a certificate.
  if (pems.length !== begun) {
    throw new NsmError(Code.InvalidArgument, `certificate ${pems.length + 1} of ${begun} is truncated`);
  }
  if (input.length === 0) throw new NsmError(Code.InvalidArgument, "no certificate: there are no bytes");
  try {
    const parts = begun === 0 ? derElements(Buffer.from(input as Uint8Array)) : pems;
    return parts.map((part) => new X509Certificate(part));
  } catch (cause) {
    throw new NsmError(Code.InvalidArgument, "not a certificate, neither PEM nor DER", { cause });
  }
}
