import type { X509Certificate } from "node:crypto";
import { BoundedMap } from "./bounded-map.js";
import { validUntil } from "./certificate.js";
import type { SpiffeId } from "./spiffe-id.js";
import { validAt, type Bundles } from "./verify.js";
import type { X509Svid } from "./x509-source.js";

/** A caller whose certificate was verified. The same object for all calls of one TLS session. */
export interface CallPeer {
  readonly certificate: X509Certificate;
  readonly id: SpiffeId;
  /** The certificate as PEM. */
  readonly pem: string;
}

interface Verified {
  readonly peer: CallPeer;
  readonly bundles: Bundles;
  /** The first moment at which something that was valid may not be any more. */
  readonly until: number;
}

// Certificates come from the network. More than this many callers at once are not expected.
const MOST_PEERS = 1_024;

/**
 * Callers that were verified, by what they showed: a Go peer connects anew for each call, and parsing and verifying
 * its certificate takes longer than the handshake.
 *
 * A verdict holds for the bundles it was reached with and for as long as all certificates are valid that it may
 * rest on. Whoever shows the same certificate has proved in its handshake that it has the key.
 */
export class VerifiedPeers {
  // By what we showed: who signs tokens for a peer is remembered with the peer's certificate object.
  private readonly known = new WeakMap<X509Svid, BoundedMap<string, Verified>>();

  /** @param fingerprint of the caller's certificate, SHA-256; undefined when it showed none */
  get(own: X509Svid, fingerprint: string | undefined, bundles: Bundles, now: number): CallPeer | undefined {
    const found = fingerprint === undefined ? undefined : this.known.get(own)?.get(fingerprint);
    return found?.bundles === bundles && now < found.until ? found.peer : undefined;
  }

  /** @param chain all certificates that the caller showed, its own first */
  set(own: X509Svid, peer: CallPeer, chain: readonly X509Certificate[], bundles: Bundles, now: number): void {
    const rests = [...chain, ...(bundles.get(peer.id.trustDomain) ?? [])];
    const limits = rests.filter((one) => validAt(one, now)).map(validUntil);
    const peers = this.known.get(own) ?? new BoundedMap(MOST_PEERS);
    this.known.set(own, peers);
    peers.set(peer.certificate.fingerprint256, { peer, bundles, until: Math.min(...limits) });
  }
}
