import { createPrivateKey, randomBytes, webcrypto } from "node:crypto";
import type * as X509 from "@peculiar/x509";
import { Code, NsmError } from "../core/index.js";
import { readAuthorityFiles, writeAuthorityFiles } from "./authority-files.js";
import { issuedSvid, type IssuedSvid } from "./issued-svid.js";
import { checkedTrustDomain, SpiffeId } from "./spiffe-id.js";

/** Kinds of keys for certificates. Peers verify tokens signed with P-256 only. */
export type KeyKind = "P-256" | "P-384" | "RSA";

/** Contents of a certificate. Options other than `path` serve to make certificates that peers must reject. */
export interface IssueOptions {
  /** Path of the SPIFFE ID in the trust domain, with its leading `/`. */
  readonly path: string;
  /** From now on, or from `notBefore` when that is given; default one hour. */
  readonly lifetimeMs?: number | undefined;
  /** Default a minute ago, for clocks that do not agree. */
  readonly notBefore?: Date | undefined;
  readonly key?: KeyKind | undefined;
  /** Instead of the one SPIFFE id. */
  readonly uris?: readonly string[] | undefined;
  /** A leaf that claims to be an authority. */
  readonly ca?: boolean | undefined;
  /** A leaf that may sign certificates without claiming to be an authority. */
  readonly certSign?: boolean | undefined;
}

/** Signs the certificates of one trust domain. */
export interface Authority {
  readonly trustDomain: string;
  /** The root certificate as PEM: the bundle of the trust domain. */
  readonly ca: string;
  /** Issues a certificate for a new key. */
  issue(options: IssueOptions): Promise<IssuedSvid>;
  /** Creates an intermediate authority. Certificates that it issues include its own certificate. */
  intermediate(): Promise<Authority>;
}

/** An authority at the top of its trust domain. */
export interface RootAuthority extends Authority {
  /**
   * Writes ca.pem and ca-key.pem (mode 0600) into `directory`, which is created if it is missing: what
   * readAuthority() reads. If it fails, `directory` is unchanged.
   *
   * @throws the system's error, with its `code`: ENOTEMPTY if `directory` has files
   */
  writeTo(directory: string): Promise<void>;
}

/** Trust domain of the authority, and lifetime of its root. */
export interface AuthorityOptions {
  readonly trustDomain: string;
  /** Of the root and of intermediates; default ten years. */
  readonly lifetimeMs?: number | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const TEN_YEARS_MS = 10 * 365 * 24 * HOUR_MS;
/** The latest time that a certificate can express. */
const LAST_TIME = Date.UTC(9999, 11, 31, 23, 59, 59);
const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

interface Signer {
  readonly certificate: X509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
  /** The intermediates that a leaf brings along, from its signer upwards, without the root. */
  readonly above: readonly X509.X509Certificate[];
}

/**
 * Creates a certificate authority for demonstrations and tests. It keeps no records and cannot revoke. Its key
 * exists only in memory, unless `writeTo` writes it to a directory.
 *
 * @throws NsmError INVALID_ARGUMENT for a malformed trust domain; `issue` throws it for a malformed path
 *
 * @example
 * import { authority, filesSource } from "nsm-sdk/identity";
 *
 * const ca = await authority({ trustDomain: "example.org" });
 * const nsmgr = await ca.issue({ path: "/nsmgr" });
 * await nsmgr.writeTo("/run/nsm/nsmgr");
 * const source = await filesSource("/run/nsm/nsmgr");
 */
export async function authority({
  trustDomain,
  lifetimeMs = TEN_YEARS_MS,
}: AuthorityOptions): Promise<RootAuthority> {
  checkedTrustDomain(trustDomain);
  const x509 = await loadX509();
  const keys = await keyPair("P-256");
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity({ lifetimeMs }),
    serialNumber: serialNumber(),
    name: subjectOf(trustDomain, "root"),
    keys,
    signingAlgorithm: SIGNING,
    extensions: await authorityExtensions(x509, trustDomain, keys.publicKey),
  });
  const ca = root.toString("pem");
  return rootAuthority(trustDomain, ca, await pkcs8(keys.privateKey));
}

/**
 * The authority that `writeTo` wrote to `directory`.
 *
 * @throws NsmError NOT_FOUND for a missing file, PERMISSION_DENIED for an unreadable one, INVALID_ARGUMENT for a file
 * that does not belong to an authority, FAILED_PRECONDITION if the authority has expired; each names the file
 *
 * @example
 * import { readAuthority } from "nsm-sdk/identity";
 *
 * const ca = await readAuthority("/tmp/nsm/authority");
 * await (await ca.issue({ path: "/nsc-2" })).writeTo("/tmp/nsm/nsc-2");
 */
export async function readAuthority(directory: string): Promise<RootAuthority> {
  const { trustDomain, ca, key } = await readAuthorityFiles(directory, Date.now());
  return rootAuthority(trustDomain, ca, key);
}

async function rootAuthority(trustDomain: string, ca: string, key: string): Promise<RootAuthority> {
  const x509 = await loadX509();
  const certificate = new x509.X509Certificate(ca);
  const der = createPrivateKey(key).export({ type: "pkcs8", format: "der" });
  const signingKey = await webcrypto.subtle.importKey("pkcs8", der, SIGNING, false, ["sign"]);
  const lifetimeMs = certificate.notAfter.getTime() - Date.now();
  return {
    ...authorityOf(x509, trustDomain, ca, { certificate, key: signingKey, above: [] }, lifetimeMs),
    writeTo: (directory) => writeAuthorityFiles(directory, ca, key),
  };
}

function authorityOf(
  x509: typeof X509,
  trustDomain: string,
  ca: string,
  signer: Signer,
  lifetimeMs: number,
): Authority {
  const sign = async (
    keys: webcrypto.CryptoKeyPair,
    subject: string,
    time: Validity,
    extensions: X509.Extension[],
  ): Promise<X509.X509Certificate> =>
    x509.X509CertificateGenerator.create({
      ...validity(time),
      serialNumber: serialNumber(),
      subject,
      issuer: signer.certificate.subject,
      publicKey: keys.publicKey,
      signingKey: signer.key,
      signingAlgorithm: SIGNING,
      extensions: [
        ...extensions,
        await x509.AuthorityKeyIdentifierExtension.create(await signer.certificate.publicKey.export()),
      ],
    });

  return {
    trustDomain,
    ca,
    async issue(options) {
      const id = SpiffeId.of(trustDomain, options.path);
      const keys = await keyPair(options.key ?? "P-256");
      const leaf = await sign(
        keys,
        subjectOf(trustDomain, "workload"),
        options,
        leafExtensions(x509, id, options),
      );
      return issuedSvid(id, ca, pemOfAll([leaf, ...signer.above]), await pkcs8(keys.privateKey));
    },
    async intermediate() {
      const keys = await keyPair("P-256");
      const extensions = await authorityExtensions(x509, trustDomain, keys.publicKey);
      const certificate = await sign(
        keys,
        subjectOf(trustDomain, serialNumber()),
        { lifetimeMs },
        extensions,
      );
      const above = [certificate, ...signer.above];
      return authorityOf(x509, trustDomain, ca, { certificate, key: keys.privateKey, above }, lifetimeMs);
    },
  };
}

function leafExtensions(x509: typeof X509, id: SpiffeId, options: IssueOptions): X509.Extension[] {
  const { uris = [id.toString()], ca = false, certSign = false } = options;
  const signing = ca || certSign ? x509.KeyUsageFlags.keyCertSign : 0;
  const names = uris.map((value) => ({ type: "url" as const, value }));
  return [
    new x509.BasicConstraintsExtension(ca, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | signing, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
  ];
}

async function authorityExtensions(
  x509: typeof X509,
  trustDomain: string,
  publicKey: webcrypto.CryptoKey,
): Promise<X509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    new x509.SubjectAlternativeNameExtension([{ type: "url", value: SpiffeId.of(trustDomain).toString() }]),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ];
}

// Informational only: SPIFFE uses the URI. A leaf with the name of its issuer would count as self-signed, and
// each part is limited to 64 characters.
function subjectOf(trustDomain: string, unit: string): string {
  return `O=${trustDomain.slice(0, 64)}, OU=${unit}`;
}

interface Validity {
  readonly lifetimeMs?: number | undefined;
  readonly notBefore?: Date | undefined;
}

function validity({ lifetimeMs = HOUR_MS, notBefore }: Validity): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  const notAfter = (notBefore?.getTime() ?? now) + lifetimeMs;
  if (notAfter > LAST_TIME) {
    throw new NsmError(
      Code.InvalidArgument,
      `a certificate cannot be valid for ${lifetimeMs} ms: the year of its expiry must have 4 digits`,
    );
  }
  return { notBefore: notBefore ?? new Date(now - MINUTE_MS), notAfter: new Date(notAfter) };
}

// RFC 5280 section 4.1.2.2 requires a positive number of at most 20 bytes.
function serialNumber(): string {
  return `01${randomBytes(15).toString("hex")}`;
}

const algorithms: Record<KeyKind, webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams> = {
  "P-256": SIGNING,
  "P-384": { name: "ECDSA", namedCurve: "P-384" },
  RSA: {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  },
};

async function keyPair(kind: KeyKind): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithms[kind], true, ["sign", "verify"]);
}

async function pkcs8(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  const lines = bytes.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

function pemOfAll(certificates: readonly X509.X509Certificate[]): string {
  return certificates.map((certificate) => `${certificate.toString("pem")}\n`).join("");
}

// The library is large and rarely needed, so it is loaded on first use. It needs a Reflect polyfill, which
// must be loaded before it.
async function loadX509(): Promise<typeof X509> {
  await import("reflect-metadata");
  return import("@peculiar/x509");
}
