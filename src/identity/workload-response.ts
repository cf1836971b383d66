import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import type { X509SVID, X509SVIDResponse } from "../api/generated/workload.js";
import { Code, NsmError } from "../core/index.js";
import { parseCertificates, spiffeIdOf } from "./certificate.js";
import { inFile } from "./identity-files.js";
import { SpiffeId } from "./spiffe-id.js";
import { verifySvid, type Bundles } from "./verify.js";
import { x509Svid, type X509Context, type X509Svid } from "./x509-source.js";

/** One of the SVIDs that a Workload API offers to this process. */
export interface OfferedSvid {
  readonly id: SpiffeId;
  /** Describes the purpose of the SVID, such as `internal`. Empty if the operator has set none. */
  readonly hint: string;
}

/**
 * Reads a response of FetchX509SVID. The SVID must be usable: see x509Svid() and verifySvid(). What has not changed
 * keeps its object: `previous` itself is returned if everything is equal.
 *
 * Source: SPIFFE Workload API standard, section 5.2.
 *
 * @param pick selects the SVID; undefined rejects the response
 * @param now milliseconds since the epoch
 * @throws NsmError if the response is not usable, with the part that is wrong
 */
export function contextOfResponse(
  { svids, federatedBundles }: X509SVIDResponse,
  pick: (offered: readonly OfferedSvid[]) => OfferedSvid | undefined,
  now: number,
  previous?: X509Context,
): X509Context {
  const offered = svids.map(({ spiffeId, hint }): OfferedSvid => ({ id: SpiffeId.parse(spiffeId), hint }));
  if (offered.length === 0) throw new NsmError(Code.InvalidArgument, "the response has no SVID");
  const chosen = pick(offered);
  const index = offered.findIndex((one) => one === chosen);
  if (index === -1) {
    const ids = offered.map(({ id }) => id).join(", ");
    throw new NsmError(Code.FailedPrecondition, `none of the offered SVIDs was picked: ${ids}`);
  }
  const { id } = offered[index]!;
  const svid = inFile(`the SVID of ${id}`, Code.InvalidArgument, () => svidOf(svids[index]!, id));

  const bundles = new Map<string, readonly X509Certificate[]>();
  for (const [domain, der] of Object.entries(federatedBundles)) {
    const { trustDomain } = SpiffeId.parse(domain);
    // A domain without authorities is known, and none of its IDs is trusted.
    bundles.set(trustDomain, der.length === 0 ? [] : bundleOf(trustDomain, der));
  }
  svids.forEach(({ bundle }, at) => {
    const { trustDomain } = offered[at]!.id;
    if (at === index || trustDomain !== id.trustDomain)
      bundles.set(trustDomain, bundleOf(trustDomain, bundle));
  });
  verifySvid(svid.certificates, bundles, now);
  return unlessEqual({ svid, bundles }, previous);
}

function svidOf(message: X509SVID, id: SpiffeId): X509Svid {
  const certificates = parseCertificates(message.x509Svid);
  const shown = spiffeIdOf(certificates[0]!);
  if (!shown.equals(id)) {
    throw new NsmError(Code.InvalidArgument, `its certificate is for another ID: ${shown}`);
  }
  return x509Svid(certificates, keyOf(message.x509SvidKey));
}

/** The error contains nothing about the key. */
function keyOf(der: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
  } catch {
    throw new NsmError(Code.InvalidArgument, "no private key: expected an unencrypted PKCS#8 key in DER");
  }
}

function bundleOf(trustDomain: string, der: Uint8Array): X509Certificate[] {
  return inFile(`the bundle of "${trustDomain}"`, Code.InvalidArgument, () => parseCertificates(der));
}

function unlessEqual(next: X509Context, previous: X509Context | undefined): X509Context {
  if (!previous) return next;
  const sameSvid = sameCertificates(next.svid.certificates, previous.svid.certificates);
  const sameBundles = equalBundles(next.bundles, previous.bundles);
  if (sameSvid && sameBundles) return previous;
  return {
    svid: sameSvid ? previous.svid : next.svid,
    bundles: sameBundles ? previous.bundles : next.bundles,
  };
}

function equalBundles(one: Bundles, other: Bundles): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([domain, bundle]) => sameCertificates(bundle, other.get(domain)));
}

function sameCertificates(one: readonly X509Certificate[], other?: readonly X509Certificate[]): boolean {
  return one.length === other?.length && one.every(({ raw }, at) => raw.equals(other[at]!.raw));
}
