import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeCertificates, type Certified } from "../../src/cli/certs.js";
import { Code, explain } from "../../src/core/index.js";
import { authority, fileIdentity, parseCertificates, verifySvid } from "../../src/identity/index.js";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "nsm-certs-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const HOUR_MS = 3_600_000;
const read = (file: string): string => readFileSync(join(dir, file), "utf8");
const make = (name: string, more: { renew?: boolean; lifetimeMs?: number } = {}): Promise<Certified[]> =>
  makeCertificates({ dir, lifetimeMs: HOUR_MS, ids: [`spiffe://example.org/${name}`], ...more });

describe("nsmctl certs", () => {
  test("makes a folder for each id that a program can take its identity from", async () => {
    const ids = ["spiffe://example.org/nsmgr", "spiffe://example.org/ns/one/nse"];
    const made = await makeCertificates({ dir, lifetimeMs: HOUR_MS, ids });
    const folders = made.map(({ folder }) => folder);
    expect(folders).toEqual([join(dir, "nsmgr"), join(dir, "nse")]);
    for (const [i, folder] of folders.entries()) {
      const identity = await fileIdentity(folder);
      expect(identity.id?.toString()).toBe(ids[i]);
      identity.close();
    }
  });

  test("refuses a lifetime that no certificate can have and writes nothing", async () => {
    const target = join(dir, "made");
    const ids = ["spiffe://example.org/a"];
    await expect(
      makeCertificates({ dir: target, lifetimeMs: 99_999_999 * HOUR_MS, ids }),
    ).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("4 digits"),
    });
    expect(existsSync(target)).toBe(false);
  });

  test.each([
    [["spiffe://example.org/a", "spiffe://example.com/b"], "spiffe://example.com/b"],
    [["spiffe://example.org/x/nse", "spiffe://example.org/y/nse"], "nse"],
    [["example.org/a"], "example.org/a"],
    [["spiffe://example.org"], "spiffe://example.org"],
    [["spiffe://example.org/authority"], "spiffe://example.org/authority"],
  ])("refuses %j and writes nothing", async (ids, named) => {
    const target = join(dir, "made");
    await expect(makeCertificates({ dir: target, lifetimeMs: HOUR_MS, ids })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining(named),
    });
    await expect(import("node:fs/promises").then((fs) => fs.access(target))).rejects.toThrow();
  });

  test("keeps the authority, its key for the owner only, and issues later certificates from it", async () => {
    await make("nsmgr");
    expect(readdirSync(join(dir, "authority")).sort()).toEqual(["ca-key.pem", "ca.pem"]);
    expect(statSync(join(dir, "authority", "ca-key.pem")).mode & 0o777).toBe(0o600);
    const before = read("authority/ca.pem");
    await make("nsc");
    expect(read("authority/ca.pem")).toBe(before);
    const svid = parseCertificates(read("nsc/svid.pem"));
    const bundle = parseCertificates(read("nsmgr/ca.pem"));
    expect(verifySvid(svid, new Map([["example.org", bundle]]), Date.now()).path).toBe("/nsc");
    expect(readdirSync(dir).sort()).toEqual(["authority", "nsc", "nsmgr"]);
  });

  test("keeps a certificate that has not expired, unless asked to renew it", async () => {
    expect(await make("nse")).toMatchObject([{ kept: false }]);
    const first = read("nse/svid.pem");
    expect(await make("nse")).toMatchObject([{ kept: true }]);
    expect(read("nse/svid.pem")).toBe(first);
    expect(await make("nse", { renew: true })).toMatchObject([{ kept: false }]);
    expect(read("nse/svid.pem")).not.toBe(first);
  });

  test("issues an expired or incomplete certificate again", async () => {
    await make("nse", { lifetimeMs: -1_000 });
    expect(await make("nse")).toMatchObject([{ kept: false }]);
    rmSync(join(dir, "nse", "key.pem"));
    expect(await make("nse")).toMatchObject([{ kept: false }]);
  });

  test("does not replace the certificate of another id or authority without being asked", async () => {
    await make("x/nse");
    const first = read("nse/svid.pem");
    await expect(make("y/nse")).rejects.toMatchObject({
      message: expect.stringMatching(/spiffe:\/\/example.org\/x\/nse.*--renew/),
    });
    const other = await authority({ trustDomain: "example.org" });
    await (await other.issue({ path: "/nsc" })).writeTo(join(dir, "nsc"));
    await expect(make("nsc")).rejects.toMatchObject({
      message: expect.stringContaining("another authority"),
    });
    expect(read("nse/svid.pem")).toBe(first);
  });

  test("reports how to proceed when the authority is lost, foreign, damaged or expired, and writes nothing", async () => {
    await make("nsmgr");
    const home = join(dir, "authority");
    const saved = join(dir, "saved");
    const failing = async (sentence: RegExp): Promise<void> => {
      await expect(make("nsc")).rejects.toThrow();
      const error = await make("nsc").catch((thrown: unknown) => thrown);
      expect(explain(error)).toMatch(sentence);
      expect(explain(error)).not.toMatch(/PRIVATE KEY|[A-Za-z0-9+/]{40}/);
      expect(existsSync(join(dir, "nsc"))).toBe(false);
    };
    renameSync(home, saved);
    await failing(/authority is missing, .*nsmgr has a certificate of the lost authority: restore it, or/);

    await (await authority({ trustDomain: "example.com" })).writeTo(home);
    await failing(/is of the trust domain example.com, not example.org: use another directory/);
    rmSync(home, { recursive: true });

    await (await authority({ trustDomain: "example.org", lifetimeMs: -1_000 })).writeTo(home);
    await failing(/authority expired at .*: create new certificates for all programs in another directory/);

    writeFileSync(join(home, "ca.pem"), readFileSync(join(saved, "ca.pem")));
    await failing(/ca-key.pem is not usable.* the private key does not match .*ca.pem/);
    writeFileSync(join(home, "ca-key.pem"), "nonsense");
    await failing(/ca-key.pem is not usable.*unencrypted PEM key/);
    rmSync(join(home, "ca-key.pem"));
    await failing(/ca-key.pem does not exist; the directory of an authority holds ca.pem and ca-key.pem/);
    writeFileSync(join(home, "ca.pem"), read("nsmgr/svid.pem"));
    writeFileSync(join(home, "ca-key.pem"), read("nsmgr/key.pem"));
    await failing(/ca.pem is not usable.*the certificate of one authority is wanted/);
  });
});
