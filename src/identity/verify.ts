import type { X509Certificate } from "node:crypto";
import { Code, NsmError } from "../core/index.js";
import { extensionsOf, publicKeyOf, spiffeIdOf, validFrom, validUntil } from "./certificate.js";
import type { SpiffeId } from "./spiffe-id.js";

/** The certificates that may sign IDs of each trust domain, by trust domain name. */
export type Bundles = ReadonlyMap<string, readonly X509Certificate[]>;

// Longer chains occur only in attacks.
const LONGEST_CHAIN = 8;

/**
 * Verifies a certificate chain and returns its SPIFFE ID. The leaf must have exactly one SPIFFE ID and must
 * not sign other certificates. A chain of valid signatures must lead from it to the bundle of *that ID's*
 * trust domain; other bundles do not count. Does not check extended key usages and host names.
 *
 * Source: X509-SVID standard, sections 4.3 and 5.
 *
 * @param chain leaf first, then intermediates in any order
 * @param now milliseconds since the epoch
 * @throws NsmError UNAUTHENTICATED with the ID and the violated rule
 *
 * @example
 * import { readFile } from "node:fs/promises";
 * import { parseCertificates, verifySvid } from "nsm-sdk/identity";
 *
 * const { bundles } = source.current();
 * const id = verifySvid(parseCertificates(await readFile("svid.pem")), bundles, Date.now());
 * console.log(`talking to ${id}`);
 */
export function verifySvid(chain: readonly X509Certificate[], bundles: Bundles, now: number): SpiffeId {
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) throw refused("it showed no certificate: expected a SPIFFE certificate");
  const id = idOf(leaf);
  if (leaf.ca) throw refused(`the certificate of ${id} is a CA certificate: expected a leaf`);
  const { certSign, crlSign } = extensionsOf(leaf);
  if (certSign || crlSign) {
    const usage = certSign ? "certificates (keyCertSign)" : "revocation lists (cRLSign)";
    throw refused(`the certificate of ${id} may sign ${usage}; a leaf must not`);
  }
  const bundle = bundles.get(id.trustDomain);
  if (bundle === undefined) {
    const names = [...bundles.keys()].join(", ") || "none";
    throw refused(`${id} is in trust domain "${id.trustDomain}"; trusted: ${names}`);
  }
  if (!validAt(leaf, now)) throw refused(`the certificate of ${id} ${whenValid(leaf, now)}`);
  if (!anchored(leaf, intermediates, bundle, now, LONGEST_CHAIN)) {
    const trusted = `${bundle.length} certificate${bundle.length === 1 ? "" : "s"}`;
    throw refused(
      `the certificate of ${id} does not chain to the bundle of "${id.trustDomain}" (${trusted}) with valid signatures`,
    );
  }
  return id;
}

function idOf(leaf: X509Certificate): SpiffeId {
  try {
    return spiffeIdOf(leaf);
  } catch (cause) {
    throw new NsmError(Code.Unauthenticated, "its certificate has no usable SPIFFE id", { cause });
  }
}

function anchored(
  certificate: X509Certificate,
  intermediates: readonly X509Certificate[],
  bundle: readonly X509Certificate[],
  now: number,
  depth: number,
): boolean {
  if (depth === 0) return false;
  const signs = (issuer: X509Certificate): boolean =>
    issuer.ca &&
    validAt(issuer, now) &&
    certificate.checkIssued(issuer) &&
    certificate.verify(publicKeyOf(issuer));
  return (
    bundle.some(signs) ||
    intermediates.some(
      (issuer) =>
        signs(issuer) &&
        anchored(
          issuer,
          intermediates.filter((other) => other !== issuer),
          bundle,
          now,
          depth - 1,
        ),
    )
  );
}

/** Whether `now` is within the certificate's validity. */
export function validAt(certificate: X509Certificate, now: number): boolean {
  // notAfter includes its whole last second.
  return validFrom(certificate) <= now && now < validUntil(certificate) + 1000;
}

/** Describes why `now` is outside the validity: `expired at 2026-11-21T08:00:00Z; now it is …`. */
function whenValid(certificate: X509Certificate, now: number): string {
  const early = now < validFrom(certificate);
  const limit = early ? validFrom(certificate) : validUntil(certificate);
  return `${early ? "is valid only from" : "expired at"} ${iso(limit)}; now it is ${iso(now)}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000", "");
}

function refused(rule: string): NsmError {
  return new NsmError(Code.Unauthenticated, rule);
}
