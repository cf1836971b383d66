import { createPrivateKey, type KeyObject } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Code, NsmError, readText } from "../core/index.js";
import { parseCertificates, spiffeIdOf } from "./certificate.js";
import { verifySvid } from "./verify.js";
import { x509Svid, type X509Context } from "./x509-source.js";

const WANTED = "an identity directory holds ca.pem, svid.pem and key.pem";

/** What an identity directory said when it was read. */
export interface IdentityFiles {
  readonly context: X509Context;
  /** The three texts: equal when nothing changed. */
  readonly contents: string;
}

/**
 * Reads ca.pem, svid.pem and key.pem and checks that they are one usable identity: the key is the
 * certificate's, ECDSA P-256; there is exactly one SPIFFE id; the chain leads to ca.pem; the time is right.
 *
 * @param now milliseconds since the epoch
 * @throws NsmError NOT_FOUND for a missing file, PERMISSION_DENIED for an unreadable one, INVALID_ARGUMENT for
 * one that says nothing usable, FAILED_PRECONDITION for a certificate that is expired or of another authority;
 * each names the file
 */
export async function readIdentityFiles(directory: string, now: number): Promise<IdentityFiles> {
  const ca = join(directory, "ca.pem");
  const svid = join(directory, "svid.pem");
  const key = join(directory, "key.pem");
  // One after the other, so that of several missing files it is always the same one that is named.
  const caText = await readIdentityFile(ca);
  const svidText = await readIdentityFile(svid);
  const keyText = await readIdentityFile(key);

  const bundle = inFile(ca, Code.InvalidArgument, () => authorities(caText));
  const certificates = inFile(svid, Code.InvalidArgument, () => parseCertificates(svidText));
  const id = inFile(svid, Code.InvalidArgument, () => spiffeIdOf(certificates[0]!));
  const own = inFile(key, Code.InvalidArgument, () => x509Svid(certificates, privateKey(keyText)));
  const bundles = new Map([[id.trustDomain, bundle]]);
  inFile(svid, Code.FailedPrecondition, () => verifySvid(certificates, bundles, now));
  return { context: { svid: own, bundles }, contents: [caText, svidText, keyText].join("\0") };
}

/** A problem when the private key can be read by others than its owner, undefined otherwise. */
export async function exposedKey(directory: string): Promise<NsmError | undefined> {
  const path = join(directory, "key.pem");
  const found = await stat(path).catch(() => undefined);
  if (!found) return undefined;
  const mode = found.mode & 0o777;
  if ((mode & 0o077) === 0) return undefined;
  return new NsmError(
    Code.FailedPrecondition,
    `${path} has mode 0${mode.toString(8)}, so other users may use the private key: set it to 0600`,
  );
}

/** The text of a file; errors name the file and say what its directory holds. */
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
        throw new NsmError(Code.PermissionDenied, `${path} may not be read by this process`, { cause });
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
    `certificate ${leaf + 1} of ${certificates.length} is not one of an authority; only those may stand there`,
  );
}

/** The key in a PEM text. The error says nothing about the text. */
export function privateKey(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    // The cause is left out: nothing about a key belongs in an error.
    throw new NsmError(Code.InvalidArgument, "no private key; an unencrypted PEM key is wanted");
  }
}

/** Does `work`; its errors name the file. */
export function inFile<T>(path: string, code: Code, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new NsmError(code, `${path} is not usable`, { cause });
  }
}
