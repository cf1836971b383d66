import type { X509Certificate } from "node:crypto";
import { BoundedMap } from "./bounded-map.js";
import { validUntil } from "./certificate.js";
import type { SpiffeId } from "./spiffe-id.js";
import { validAt, type Bundles } from "./verify.js";
import type { X509Svid } from "./x509-source.js";

/** A caller with a verified certificate. All calls of one TLS session share the object. */
export interface CallPeer {
  readonly certificate: X509Certificate;
  readonly id: SpiffeId;
  /** The certificate as PEM text. */
  readonly pem: string;
}

interface Verified {
  readonly peer: CallPeer;
  readonly bundles: Bundles;
  /** The earliest time at which a certificate involved in the verdict can expire. */
  readonly until: number;
}

// Certificates come from the network. The limit exceeds the expected number of concurrent callers.
const MOST_PEERS = 1_024;

/**
 * A cache of verified callers, by certificate. Go peers connect anew for each call, and parsing and verifying
 * a certificate takes longer than the handshake.
 *
 * A verdict is valid for the bundles it was made with, until the first certificate involved expires. A caller
 * with the same certificate has proved possession of the key in its own handshake.
 */
export class VerifiedPeers {
  // By own SVID: the issuer of tokens for a peer is remembered with the peer's certificate object.
  private readonly known = new WeakMap<X509Svid, BoundedMap<string, Verified>>();

  /** @param fingerprint SHA-256 of the caller's certificate; undefined if it showed none */
  get(own: X509Svid, fingerprint: string | undefined, bundles: Bundles, now: number): CallPeer | undefined {
    const found = fingerprint === undefined ? undefined : this.known.get(own)?.get(fingerprint);
    return found?.bundles === bundles && now < found.until ? found.peer : undefined;
  }

  /** @param chain all certificates of the caller, leaf first */
  set(own: X509Svid, peer: CallPeer, chain: readonly X509Certificate[], bundles: Bundles, now: number): void {
    const rests = [...chain, ...(bundles.get(peer.id.trustDomain) ?? [])];
    const limits = rests.filter((one) => validAt(one, now)).map(validUntil);
    const peers = this.known.get(own) ?? new BoundedMap(MOST_PEERS);
    this.known.set(own, peers);
    peers.set(peer.certificate.fingerprint256, { peer, bundles, until: Math.min(...limits) });
  }
}
