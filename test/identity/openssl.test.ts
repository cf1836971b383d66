import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { authority, svidTokens } from "../../src/identity/index.js";
import { publicKeyOf } from "../../src/identity/certificate.js";
import { leafOf, sourceOf, temporaryDirectory } from "./support.js";

// The command line of OpenSSL as a second opinion on what we make.
const openssl = async (cwd: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)("openssl", args, { cwd })).stdout;

test("openssl accepts the chain for servers and clients, and finds the extensions that SPIFFE requires", async () => {
  const directory = await temporaryDirectory();
  const org = await authority({ trustDomain: "example.org" });
  await (await (await org.intermediate()).issue({ path: "/nsmgr" })).writeTo(directory);
  for (const purpose of ["sslserver", "sslclient"]) {
    const verify = ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem"];
    expect(await openssl(directory, ...verify, "-untrusted", "svid.pem", "svid.pem")).toBe("svid.pem: OK\n");
  }
  const extensions = [
    "x509",
    "-in",
    "svid.pem",
    "-noout",
    "-ext",
    "subjectAltName,keyUsage,basicConstraints",
  ];
  const text = await openssl(directory, ...extensions);
  expect(text).toMatch(/URI:spiffe:\/\/example.org\/nsmgr\n/);
  expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/);
  expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE\n/);
});

test("openssl finds the signature of a token valid", async () => {
  const directory = await temporaryDirectory();
  const issued = await (await authority({ trustDomain: "example.org" })).issue({ path: "/nsc" });
  const { token } = svidTokens({ source: sourceOf(issued) })(undefined);
  const [header, claims, signature] = token.split(".") as [string, string, string];
  await writeFile(join(directory, "input"), `${header}.${claims}`);
  await writeFile(join(directory, "signature"), derSignature(Buffer.from(signature, "base64url")));
  await writeFile(
    join(directory, "key.pem"),
    publicKeyOf(leafOf(issued)).export({ type: "spki", format: "pem" }),
  );
  const verify = ["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "input"];
  expect(await openssl(directory, ...verify)).toBe("Verified OK\n");
});

/** A signature r‖s as the ASN.1 sequence of two integers that openssl wants. */
function derSignature(signature: Buffer): Buffer {
  const integer = (half: Buffer): Buffer => {
    const first = half.findIndex((byte) => byte !== 0);
    const digits = half.subarray(first);
    // A leading byte of 0x80 and above would read as a negative number.
    const content = digits[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits;
    return Buffer.concat([Buffer.of(0x02, content.length), content]);
  };
  const both = Buffer.concat([integer(signature.subarray(0, 32)), integer(signature.subarray(32))]);
  return Buffer.concat([Buffer.of(0x30, both.length), both]);
}
