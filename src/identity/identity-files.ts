import { createPrivateKey, type KeyObject } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Code, NsmError } from "../core/index.js";
import { readText, type Reading } from "../files/index.js";
import { parseCertificates, spiffeIdOf } from "./certificate.js";
import { verifySvid } from "./verify.js";
import { x509Svid, type X509Context } from "./x509-source.js";

const WANTED = "an identity directory holds ca.pem, svid.pem and key.pem";

/** The names of the files in an identity directory. */
export const IDENTITY_FILES = ["ca.pem", "svid.pem", "key.pem"] as const;

/**
 * Reads ca.pem, svid.pem and key.pem and checks that they form a usable identity. The key must belong to the
 * certificate and be ECDSA P-256. The certificate must have exactly one SPIFFE ID, be valid now, and chain to
 * ca.pem.
 *
 * @param now milliseconds since the epoch
 * @throws NsmError, with the file in its message: NOT_FOUND if it is missing, PERMISSION_DENIED if it is
 * unreadable, INVALID_ARGUMENT if its contents are unusable, FAILED_PRECONDITION if the certificate is
 * expired or from another authority
 */
export async function readIdentityFiles(directory: string, now: number): Promise<Reading<X509Context>> {
  const [ca, svid, key] = IDENTITY_FILES.map((name) => join(directory, name)) as [string, string, string];
  // Sequential, so that with several missing files the error always names the same one.
  const caText = await readIdentityFile(ca);
  const svidText = await readIdentityFile(svid);
  const keyText = await readIdentityFile(key);

  const bundle = inFile(ca, Code.InvalidArgument, () => authorities(caText));
  const certificates = inFile(svid, Code.InvalidArgument, () => parseCertificates(svidText));
  const id = inFile(svid, Code.InvalidArgument, () => spiffeIdOf(certificates[0]!));
  const own = inFile(key, Code.InvalidArgument, () => x509Svid(certificates, privateKey(keyText)));
  const bundles = new Map([[id.trustDomain, bundle]]);
  inFile(svid, Code.FailedPrecondition, () => verifySvid(certificates, bundles, now));
  return { value: { svid: own, bundles }, text: [caText, svidText, keyText].join("\0") };
}

/** Returns a problem if users other than the owner can read the private key, otherwise undefined. */
export async function exposedKey(directory: string): Promise<NsmError | undefined> {
  const path = join(directory, "key.pem");
  // Reading the identity reports a missing or inaccessible file.
  const found = await stat(path).catch(() => undefined);
  if (!found) return undefined;
  const mode = found.mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  return new NsmError(
    Code.FailedPrecondition,
    `${path} has mode 0${mode.toString(8)}, so other users may use the private key: set it to 0600`,
  );
}

/** The text of a file; errors name the file and list what its directory holds. */
export async function readIdentityFile(path: string, wanted = WANTED): Promise<string> {
  try {
    return await readText(path);
  } catch (cause) {
    if (cause instanceof NsmError) throw cause;
    switch ((cause as NodeJS.ErrnoException).code) {
      case "ENOENT":
      case "ENOTDIR":
        throw new NsmError(Code.NotFound, `${path} does not exist; ${wanted}`, { cause });
      case "EACCES":
      case "EPERM":
        throw new NsmError(Code.PermissionDenied, `${path} is not readable by this process`, { cause });
      default:
        throw new NsmError(Code.FailedPrecondition, `${path} cannot be read; ${wanted}`, { cause });
    }
  }
}

function authorities(text: string): ReturnType<typeof parseCertificates> {
  const certificates = parseCertificates(text);
  const leaf = certificates.findIndex(({ ca }) => !ca);
  if (leaf === -1) return certificates;
  throw new NsmError(
    Code.InvalidArgument,
    `certificate ${leaf + 1} of ${certificates.length} is not a CA certificate: only CA certificates are allowed here`,
  );
}

/** The key in a PEM text. The error does not quote the text. */
export function privateKey(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    // The cause is omitted: an error must not contain anything about a key.
    throw new NsmError(Code.InvalidArgument, "no private key: expected an unencrypted PEM key");
  }
}

/** Does `work`. Its errors name the file, or another place of the bytes. */
export function inFile<T>(path: string, code: Code, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new NsmError(code, `${path} is not usable`, { cause });
  }
}
