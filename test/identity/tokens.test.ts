import { createHmac, createPrivateKey, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fromTimestamp } from "../../src/api/index.js";
import { Code, type Peer } from "../../src/core/index.js";
import {
  authority,
  insecureTokens,
  parseToken,
  svidTokens,
  verifyToken,
  type Authority,
  type MutableSource,
  type IssuedSvid,
} from "../../src/identity/index.js";
import { publicKeyOf, validUntil } from "../../src/identity/certificate.js";
import { virtualClock, type VirtualClock } from "../../src/testing/virtual-clock.js";
import { contextOf, leafOf, sourceOf } from "./support.js";

const LIFETIME_MS = 600_000;
// Certificates are made for the time of the wall; the clock of tokens starts there, off the full second.
const START = Math.floor(Date.now() / 1000) * 1000 + 955;

let org: Authority;
let own: IssuedSvid;
let nsmgr: IssuedSvid;
let clock: VirtualClock;
let source: MutableSource;

beforeAll(async () => {
  org = await authority({ trustDomain: "example.org" });
  [own, nsmgr] = await Promise.all([org.issue({ path: "/nsc" }), org.issue({ path: "/nsmgr" })]);
});

beforeEach(() => {
  clock = virtualClock(START);
  source = sourceOf(own);
});

const peerOf = (issued: IssuedSvid): Peer => ({ address: "", local: true, certificate: leafOf(issued) });
const part = (token: string, index: number): string =>
  Buffer.from(token.split(".")[index]!, "base64url").toString("utf8");

describe("svidTokens", () => {
  test("encodes signer, audience and expiry in exactly these bytes", () => {
    const { token, expires } = svidTokens({ source, clock })(peerOf(nsmgr));
    const exp = Math.floor((START + LIFETIME_MS) / 1000);
    expect(part(token, 0)).toBe('{"alg":"ES256","typ":"JWT"}');
    expect(part(token, 1)).toBe(
      `{"sub":"spiffe://example.org/nsc","aud":["spiffe://example.org/nsmgr"],"exp":${exp}}`,
    );
    expect(Buffer.from(token.split(".")[2]!, "base64url")).toHaveLength(64);
    expect(verifyToken(token, leafOf(own))).toBe(true);
    expect(expires).toEqual({ seconds: exp, nanos: 955_000_000 });
  });

  test("names no audience when there is no peer, or one without certificate", () => {
    const tokens = svidTokens({ source, clock });
    for (const peer of [undefined, { address: "unix", local: true }]) {
      expect(part(tokens(peer).token, 1)).toMatch(/^\{"sub":"spiffe:\/\/example.org\/nsc","exp":\d+\}$/);
    }
  });

  test("expires with its maker's certificate at the latest", async () => {
    const shortLived = await org.issue({ path: "/nsc", lifetimeMs: 60_000 });
    source.update(contextOf(shortLived));
    const { token, expires } = svidTokens({ source, clock })(undefined);
    expect(fromTimestamp(expires)).toBe(validUntil(leafOf(shortLived)));
    expect(parseToken(token).exp).toBe(validUntil(leafOf(shortLived)) / 1000);
  });

  test("returns an expiry within the peer's certificate, and leaves the claim unchanged", async () => {
    const shortLived = await org.issue({ path: "/nsmgr", lifetimeMs: 60_000 });
    const tokens = svidTokens({ source, clock });
    const limited = tokens(peerOf(shortLived));
    expect(fromTimestamp(limited.expires)).toBe(validUntil(leafOf(shortLived)));
    expect(parseToken(limited.token).exp).toBe(Math.floor((START + LIFETIME_MS) / 1000));
    // The same audience with a longer certificate: the same token, its own expiry.
    const unlimited = tokens(peerOf(nsmgr));
    expect(unlimited.token).toBe(limited.token);
    expect(fromTimestamp(unlimited.expires)).toBeCloseTo(START + LIFETIME_MS, 3);
  });

  test("is shown again while more than nine tenths of its life are left", async () => {
    const tokens = svidTokens({ source, clock });
    const first = tokens(peerOf(nsmgr)).token;
    await clock.advance(LIFETIME_MS / 10 - 1);
    expect(tokens(peerOf(nsmgr)).token).toBe(first);
    await clock.advance(1);
    const second = tokens(peerOf(nsmgr)).token;
    expect(second).not.toBe(first);
    expect(tokens(peerOf(nsmgr)).token).toBe(second);
  });

  test("is another one for each audience", () => {
    const tokens = svidTokens({ source, clock });
    const seen = [undefined, peerOf(nsmgr), peerOf(own)].map((peer) => tokens(peer).token);
    expect(new Set(seen).size).toBe(3);
  });

  test("is signed with the new key as soon as the identity rotates", async () => {
    const tokens = svidTokens({ source, clock });
    const before = tokens(peerOf(nsmgr)).token;
    const renewed = await org.issue({ path: "/nsc" });
    source.update(contextOf(renewed));
    const after = tokens(peerOf(nsmgr)).token;
    expect([verifyToken(before, leafOf(own)), verifyToken(before, leafOf(renewed))]).toEqual([true, false]);
    expect([verifyToken(after, leafOf(own)), verifyToken(after, leafOf(renewed))]).toEqual([false, true]);
  });

  test.each([0, -5_000])(
    "is expired from the start, and new each time, with a lifetime of %i ms",
    (maxLifetimeMs) => {
      const tokens = svidTokens({ source, clock, maxLifetimeMs });
      const { token, expires } = tokens(undefined);
      expect(fromTimestamp(expires)).toBeCloseTo(START + maxLifetimeMs, 3);
      expect(parseToken(token).exp).toBe(Math.floor((START + maxLifetimeMs) / 1000));
      expect(tokens(undefined).token).not.toBe(token);
    },
  );

  test("is not made for a peer whose certificate has no SPIFFE id", async () => {
    const nameless = await org.issue({ path: "/a", uris: [] });
    expect(() => svidTokens({ source, clock })(peerOf(nameless))).toThrow(
      expect.objectContaining({ code: Code.InvalidArgument }),
    );
  });
});

describe("insecureTokens", () => {
  test("claim a subject if given one, are signed with a key of their own, and expire", () => {
    const { token, expires } = insecureTokens({ clock, subject: "nsc" })(undefined);
    const exp = Math.floor((START + LIFETIME_MS) / 1000);
    expect(part(token, 0)).toBe('{"alg":"HS256","typ":"JWT"}');
    expect(part(token, 1)).toBe(`{"sub":"nsc","exp":${exp}}`);
    expect(part(insecureTokens({ clock })(undefined).token, 1)).toBe(`{"exp":${exp}}`);
    expect(Buffer.from(token.split(".")[2]!, "base64url")).toHaveLength(32);
    expect(insecureTokens({ clock, subject: "nsc" })(undefined).token).not.toBe(token);
    expect(fromTimestamp(expires)).toBeCloseTo(START + LIFETIME_MS, 3);
  });

  test("are shown again for a tenth of their life", async () => {
    const tokens = insecureTokens({ clock, maxLifetimeMs: 1_000 });
    const first = tokens(undefined).token;
    await clock.advance(99);
    expect(tokens(undefined).token).toBe(first);
    await clock.advance(1_000);
    expect(tokens(undefined).token).not.toBe(first);
  });
});

const jwt = (header: unknown, claims: unknown, signature = "c2ln"): string =>
  [header, claims]
    .map((value) =>
      Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url"),
    )
    .concat(signature)
    .join(".");

describe("parseToken", () => {
  test.each([
    [
      { sub: "a", aud: ["b"], exp: 1 },
      { sub: "a", aud: ["b"], exp: 1 },
    ],
    [
      { sub: "a", aud: "b", exp: 1.5 },
      { sub: "a", aud: ["b"], exp: 1.5 },
    ],
    [
      { aud: ["b", "c"], more: {} },
      { sub: "", aud: ["b", "c"], exp: undefined },
    ],
    [{}, { sub: "", aud: [], exp: undefined }],
  ])("reads %j", (claims, wanted) => {
    expect(parseToken(jwt({ alg: "ES256", typ: "JWT" }, claims))).toEqual({ alg: "ES256", ...wanted });
  });

  test.each([
    ["", "three base64url parts"],
    ["my token", "three base64url parts"],
    ["a.b", "three base64url parts"],
    ["a.b.c.d", "three base64url parts"],
    [`${jwt({ alg: "ES256" }, {})}=`, "three base64url parts"],
    [jwt("nonsense", {}), "its header is not JSON"],
    [jwt([], {}), "its header is not a JSON object"],
    [jwt({}, {}), 'no "alg"'],
    [jwt({ alg: "ES256" }, "nonsense"), "its claims are not JSON"],
    [jwt({ alg: "ES256" }, "null"), "its claims are not a JSON object"],
    [jwt({ alg: "ES256" }, { sub: 1 }), '"sub" is not a string'],
    [jwt({ alg: "ES256" }, { aud: [1] }), '"aud" is not a list of strings'],
    [jwt({ alg: "ES256" }, { exp: "1" }), '"exp" is not a number'],
  ])("refuses %j and keeps it out of the error", (text, why) => {
    const parse = (): unknown => parseToken(text);
    expect(parse).toThrow(why);
    expect(parse).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
    if (text !== "") expect(parse).not.toThrow(text);
    // The message of JSON.parse would quote the token.
    expect(parse).not.toThrow(expect.objectContaining({ cause: expect.anything() as unknown }));
  });
});

describe("verifyToken", () => {
  const signed = (alg: string, key: KeyObject, dsaEncoding: "ieee-p1363" | "der" = "ieee-p1363"): string => {
    const input = jwt({ alg, typ: "JWT" }, { sub: "a" }).split(".").slice(0, 2).join(".");
    return `${input}.${sign("sha256", Buffer.from(input), { key, dsaEncoding }).toString("base64url")}`;
  };
  let key: KeyObject;
  let good: string;
  beforeEach(() => {
    key = createPrivateKey(own.key);
    good = signed("ES256", key);
  });

  test("accepts a signature by the key, given as certificate or key, again and again", () => {
    const certificate = leafOf(own);
    for (let i = 0; i < 3; i++) {
      expect(verifyToken(good, certificate)).toBe(true);
      expect(verifyToken(good, publicKeyOf(certificate))).toBe(true);
    }
  });

  test("remembers a verdict for the key it was given for only", () => {
    const certificate = leafOf(own);
    expect(verifyToken(good, certificate)).toBe(true);
    expect(verifyToken(good, leafOf(nsmgr))).toBe(false);
    expect(verifyToken(`${good.slice(0, -4)}AAAA`, certificate)).toBe(false);
    expect(verifyToken(good, certificate)).toBe(true);
  });

  test.each<[string, () => [string, KeyObject]]>([
    ["signed by another key", () => [good, publicKeyOf(leafOf(nsmgr))]],
    [
      "whose claims were exchanged",
      () => [
        [good.split(".")[0], jwt({}, { sub: "b" }).split(".")[1], good.split(".")[2]].join("."),
        publicKeyOf(leafOf(own)),
      ],
    ],
    [
      "that declares itself unsigned",
      () => [jwt({ alg: "none" }, { sub: "a" }, ""), publicKeyOf(leafOf(own))],
    ],
    ["well signed, but under another name", () => [signed("ES384", key), publicKeyOf(leafOf(own))]],
    ["with a DER signature", () => [signed("ES256", key, "der"), publicKeyOf(leafOf(own))]],
    [
      "signed with the public key as a secret",
      () => {
        const publicKey = publicKeyOf(leafOf(own));
        const input = jwt({ alg: "HS256" }, { sub: "a" }).split(".").slice(0, 2).join(".");
        const secret = publicKey.export({ type: "spki", format: "pem" });
        return [`${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`, publicKey];
      },
    ],
    [
      "of an RSA key",
      () => {
        const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
        return [signed("ES256", rsa.privateKey), rsa.publicKey];
      },
    ],
    [
      "of a P-384 key",
      () => {
        const ec = generateKeyPairSync("ec", { namedCurve: "P-384" });
        return [signed("ES256", ec.privateKey), ec.publicKey];
      },
    ],
    ["that is empty", () => ["", publicKeyOf(leafOf(own))]],
    ["that is none", () => ["my token", publicKeyOf(leafOf(own))]],
  ])("refuses a token %s", (_title, make) => {
    const [token, publicKey] = make();
    expect(verifyToken(token, publicKey)).toBe(false);
  });
});
