import { createPrivateKey } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Code } from "../../src/core/index.js";
import { filesSource } from "../../src/identity/index.js";
import { validFrom, validUntil } from "../../src/identity/certificate.js";
import { authority } from "../../src/testing/authority.js";
import { leafOf, temporaryDirectory } from "./support.js";

test("what it issues belongs together and lasts as long as asked, from a minute ago", async () => {
  const ca = await authority({ trustDomain: "example.org" });
  const before = Date.now();
  const issued = await ca.issue({ path: "/ns/a/sa/b", lifetimeMs: 90_000 });
  const leaf = leafOf(issued);
  expect(`${issued.id}`).toBe("spiffe://example.org/ns/a/sa/b");
  expect(leaf.checkPrivateKey(createPrivateKey(issued.key))).toBe(true);
  // Certificates count in whole seconds.
  expect(Math.abs(validFrom(leaf) - (before - 60_000))).toBeLessThan(2_000);
  expect(Math.abs(validUntil(leaf) - (before + 90_000))).toBeLessThan(2_000);
});

test("writes what filesSource reads, the key for its owner only, and nothing else", async () => {
  const directory = join(await temporaryDirectory(), "made", "on", "the", "way");
  const ca = await authority({ trustDomain: "example.org" });
  await (await ca.issue({ path: "/a" })).writeTo(directory);
  expect((await readdir(directory)).sort()).toEqual(["ca.pem", "key.pem", "svid.pem"]);
  expect((await stat(join(directory, "key.pem"))).mode & 0o777).toBe(0o600);
  const source = await filesSource(directory);
  expect(`${source.current().svid.id}`).toBe("spiffe://example.org/a");
  source.close();
});

test("leaves no file behind when it cannot write", async () => {
  const directory = await temporaryDirectory();
  const issued = await (await authority({ trustDomain: "example.org" })).issue({ path: "/a" });
  await issued.writeTo(join(directory, "ca.pem", "key.pem"));
  await expect(issued.writeTo(directory)).rejects.toMatchObject({ code: "EISDIR" });
  expect(await readdir(directory)).toEqual(["ca.pem"]);
});

test("refuses a trust domain and a path that are none", async () => {
  await expect(authority({ trustDomain: "Example.org" })).rejects.toMatchObject({
    code: Code.InvalidArgument,
  });
  const ca = await authority({ trustDomain: "example.org" });
  await expect(ca.issue({ path: "nsmgr" })).rejects.toThrow('must begin with "/"');
});
