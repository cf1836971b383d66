import { describe, expect, test } from "vitest";
import { authority } from "../../src/identity/index.js";
import { validUntil } from "../../src/identity/certificate.js";
import { VerifiedPeers } from "../../src/identity/verified-peers.js";
import { contextOf, leafOf } from "./support.js";

const HOUR_MS = 3_600_000;

describe("callers that were verified", () => {
  async function verified() {
    const root = await authority({ trustDomain: "example.org", lifetimeMs: 3 * HOUR_MS });
    const lower = await root.intermediate();
    const [own, caller] = await Promise.all([
      root.issue({ path: "/server" }),
      lower.issue({ path: "/client", lifetimeMs: 9 * HOUR_MS }),
    ]);
    const { svid, bundles } = contextOf(own);
    const chain = contextOf(caller).svid.certificates;
    const peer = { certificate: leafOf(caller), id: caller.id, pem: "" };
    const peers = new VerifiedPeers();
    peers.set(svid, peer, chain, bundles, Date.now());
    return { peers, peer, root, svid, bundles, chain };
  }

  test("are known by their certificate until the first that vouches for it expires", async () => {
    const { peers, peer, svid, bundles, chain } = await verified();
    const { fingerprint256 } = peer.certificate;
    const until = Math.min(...[...chain, ...bundles.get("example.org")!].map(validUntil));
    expect(until).toBeLessThan(validUntil(peer.certificate));
    expect(peers.get(svid, fingerprint256, bundles, until - 1)).toBe(peer);
    expect(peers.get(svid, fingerprint256, bundles, until)).toBeUndefined();
  });

  test("are strangers to other bundles, and where something else was shown to them", async () => {
    const { peers, peer, root, svid, bundles } = await verified();
    const { fingerprint256 } = peer.certificate;
    const now = Date.now();
    expect(peers.get(svid, fingerprint256, new Map(bundles), now)).toBeUndefined();
    const renewed = contextOf(await root.issue({ path: "/server" })).svid;
    expect(peers.get(renewed, fingerprint256, bundles, now)).toBeUndefined();
    expect(peers.get(svid, svid.certificates[0]!.fingerprint256, bundles, now)).toBeUndefined();
    expect(peers.get(svid, undefined, bundles, now)).toBeUndefined();
  });
});
