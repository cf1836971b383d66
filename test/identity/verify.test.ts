import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { Code, explain } from "../../src/core/index.js";
import {
  authority,
  parseCertificates,
  verifySvid,
  type Authority,
  type Bundles,
  type IssueOptions,
} from "../../src/identity/index.js";
import { spiffeExtensions } from "../../src/identity/der.js";
import { leafOf } from "./support.js";

let org: Authority;
let net: Authority;
let bundles: Bundles;

beforeAll(async () => {
  [org, net] = await Promise.all([
    authority({ trustDomain: "example.org" }),
    authority({ trustDomain: "example.net" }),
  ]);
  bundles = new Map([
    ["example.org", parseCertificates(org.ca)],
    ["example.net", parseCertificates(net.ca)],
  ]);
});

const verdict = (chain: readonly X509Certificate[], trusted = bundles, now = Date.now()): string => {
  try {
    return verifySvid(chain, trusted, now).toString();
  } catch (error) {
    expect(error).toMatchObject({ code: Code.Unauthenticated });
    return explain(error);
  }
};

describe("verifySvid", () => {
  test("accepts ids of every trusted domain by that domain's own bundle", async () => {
    const [ours, theirs] = await Promise.all([org.issue({ path: "/a" }), net.issue({ path: "/b" })]);
    expect(verdict([leafOf(ours)])).toBe("spiffe://example.org/a");
    expect(verdict([leafOf(theirs)])).toBe("spiffe://example.net/b");
  });

  test("refuses an id of one domain that another trusted domain's authority signed", async () => {
    const forged = await net.issue({ path: "/a", uris: ["spiffe://example.org/nsmgr"] });
    expect(verdict([leafOf(forged)])).toBe(
      'the certificate of spiffe://example.org/nsmgr does not chain to the bundle of "example.org" (1 certificate) with valid signatures',
    );
  });

  test.each<[string, Omit<IssueOptions, "path">, string]>([
    ["without a URI", { uris: [] }, "must have exactly one URI, its SPIFFE ID; it has none"],
    [
      "with two URIs",
      { uris: ["spiffe://example.org/a", "spiffe://example.org/b"] },
      'it has "spiffe://example.org/a", "spiffe://example.org/b"',
    ],
    ["with a URI of another kind", { uris: ["https://example.org/a"] }, 'must begin with "spiffe://"'],
    ["with a malformed id", { uris: ["spiffe://example.org/a/"] }, 'must not end with "/"'],
    ["that is an authority", { ca: true }, "is a CA certificate: expected a leaf"],
    ["that may sign certificates", { certSign: true }, "may sign certificates (keyCertSign)"],
    ["of an unknown domain", { uris: ["spiffe://other.org/a"] }, "trusted: example.org, example.net"],
    [
      "that expired",
      { notBefore: new Date(0), lifetimeMs: 1000 },
      "expired at 1970-01-01T00:00:01Z; now it is",
    ],
    [
      "of the future",
      { notBefore: new Date("2100-01-01T00:00:00Z") },
      "is valid only from 2100-01-01T00:00:00Z; now it is",
    ],
  ])("refuses a certificate %s", async (_title, options, why) => {
    expect(verdict([leafOf(await org.issue({ path: "/a", ...options }))])).toContain(why);
  });

  test("refuses a peer that shows nothing", () => {
    expect(verdict([])).toBe("it showed no certificate: expected a SPIFFE certificate");
  });

  test("follows intermediates in any order, and only when they are shown", async () => {
    const lower = await (await org.intermediate()).intermediate();
    const [leaf, second, first] = parseCertificates((await lower.issue({ path: "/a" })).svid);
    expect(verdict([leaf!, second!, first!])).toBe("spiffe://example.org/a");
    expect(verdict([leaf!, first!, second!])).toBe("spiffe://example.org/a");
    expect(verdict([leaf!, second!])).toContain("does not chain to the bundle");
    expect(verdict([leaf!])).toContain("does not chain to the bundle");
  });

  test("takes an authority of the bundle as the end although another one signed it", async () => {
    const lower = await org.intermediate();
    const [leaf, signer] = parseCertificates((await lower.issue({ path: "/a" })).svid);
    expect(verdict([leaf!], new Map([["example.org", [signer!]]]))).toBe("spiffe://example.org/a");
  });

  test("does not let a leaf sign for another", async () => {
    const middle = await org.issue({ path: "/middle" });
    const impostor = await authority({ trustDomain: "example.org" });
    expect(verdict([leafOf(await impostor.issue({ path: "/a" })), leafOf(middle)])).toContain(
      "does not chain",
    );
  });

  test("judges by the time it is given, up to the last second", async () => {
    const leaf = leafOf(await org.issue({ path: "/a", notBefore: new Date(10_000_000), lifetimeMs: 5_000 }));
    expect(verdict([leaf], bundles, 9_999_999)).toContain("is valid only from");
    expect(verdict([leaf], bundles, 10_006_000)).toContain("expired at");
    // Inside the leaf's time it is the root, not valid before today, that ends the chain.
    expect(verdict([leaf], bundles, 10_005_999)).toContain("does not chain to the bundle");
  });
});

describe("spiffeExtensions", () => {
  test("counts URIs that OpenSSL's text would make ambiguous", async () => {
    const leaf = leafOf(
      await org.issue({ path: "/a", uris: ["spiffe://example.org/a, URI:spiffe://example.org/b"] }),
    );
    expect(spiffeExtensions(leaf.raw).uris).toEqual(["spiffe://example.org/a, URI:spiffe://example.org/b"]);
  });

  test("reads the key usages of authorities and leaves", async () => {
    const leaf = leafOf(await org.issue({ path: "/a" }));
    expect(spiffeExtensions(leaf.raw)).toMatchObject({ certSign: false, crlSign: false });
    expect(spiffeExtensions(new X509Certificate(org.ca).raw)).toMatchObject({
      certSign: true,
      crlSign: true,
    });
  });

  test("rejects a truncated certificate, at any position", async () => {
    const { raw } = leafOf(await org.issue({ path: "/a" }));
    for (let length = 0; length < raw.length; length++) {
      expect(() => spiffeExtensions(raw.subarray(0, length)), `${length} bytes`).toThrow(/malformed/);
    }
  });
});

describe("parseCertificates", () => {
  test("takes objects, PEM with several blocks, DER, and lists of these", async () => {
    const { svid, ca } = await (await org.intermediate()).issue({ path: "/a" });
    const prints = (certificates: X509Certificate[]): string[] => certificates.map((c) => c.fingerprint256);
    const [leaf, middle] = parseCertificates(svid);
    expect(prints(parseCertificates(Buffer.from(svid)))).toEqual(prints([leaf!, middle!]));
    expect(prints(parseCertificates([leaf!.raw, middle!, ca]))).toEqual(
      prints([leaf!, middle!, new X509Certificate(ca)]),
    );
  });

  test("takes several DER certificates in one, as a Workload API sends them", async () => {
    const { svid } = await (await org.intermediate()).issue({ path: "/a" });
    const chain = parseCertificates(svid);
    const der = Buffer.concat(chain.map(({ raw }) => raw));
    expect(chain).toHaveLength(2);
    expect(parseCertificates(der).map(({ raw }) => raw)).toEqual(chain.map(({ raw }) => raw));
    expect(() => parseCertificates(der.subarray(0, -1))).toThrow("neither PEM nor DER");
    expect(() => parseCertificates(Buffer.concat([der, Buffer.from([0])]))).toThrow("neither PEM nor DER");
  });

  test.each([
    ["nothing", () => "", "no certificate"],
    ["no bytes", () => new Uint8Array(), "no certificate: there are no bytes"],
    ["other text", () => "hello", "no certificate"],
    ["other bytes", () => Buffer.from([1, 2, 3]), "neither PEM nor DER"],
    ["a truncated block", () => org.ca.slice(0, -30), "certificate 1 of 1 is truncated"],
    [
      "a truncated second block",
      () => `${org.ca}\n${net.ca.slice(0, 100)}`,
      "certificate 2 of 2 is truncated",
    ],
    [
      "a block of nonsense",
      () => "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "neither PEM nor DER",
    ],
  ])("refuses %s", (_title, input, why) => {
    expect(() => parseCertificates(input())).toThrow(why);
    expect(() => parseCertificates(input())).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
  });
});
