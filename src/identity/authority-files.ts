import { mkdtemp, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Code, NsmError } from "../core/index.js";
import { makeDirectory } from "../files/index.js";
import { parseCertificates, spiffeIdOf, validUntil } from "./certificate.js";
import { inFile, privateKey, readIdentityFile } from "./identity-files.js";
import { replaceFile } from "./issued-svid.js";

/** What the directory of an authority holds, as PEM. */
export interface AuthorityFiles {
  readonly trustDomain: string;
  readonly ca: string;
  readonly key: string;
}

const CERTIFICATE = "ca.pem";
const KEY = "ca-key.pem";

/** Writes ca.pem and ca-key.pem: both, or none if that fails. */
export async function writeAuthorityFiles(directory: string, ca: string, key: string): Promise<void> {
  const parent = dirname(directory);
  makeDirectory(parent);
  const made = await mkdtemp(join(parent, `.${basename(directory)}-`));
  try {
    await replaceFile(join(made, CERTIFICATE), ca, 0o644);
    await replaceFile(join(made, KEY), key, 0o600);
    await rename(made, directory);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    throw error;
  }
}

/** Reads ca.pem and ca-key.pem and checks that they are one authority. `now`: milliseconds since the epoch. */
export async function readAuthorityFiles(directory: string, now: number): Promise<AuthorityFiles> {
  const certificatePath = join(directory, CERTIFICATE);
  const keyPath = join(directory, KEY);
  const wanted = `the directory of an authority holds ${CERTIFICATE} and ${KEY}`;
  const text = await readIdentityFile(certificatePath, wanted);
  const key = await readIdentityFile(keyPath, wanted);

  const trustDomain = inFile(certificatePath, Code.InvalidArgument, () => {
    const [certificate, ...others] = parseCertificates(text);
    const id = spiffeIdOf(certificate!);
    if (others.length > 0 || !certificate!.ca || id.path !== "") {
      throw new NsmError(
        Code.InvalidArgument,
        `it has ${1 + others.length} certificates, the first one for "${id.toString()}"; the certificate of one authority is wanted`,
      );
    }
    return id.trustDomain;
  });
  const [certificate] = parseCertificates(text);
  inFile(keyPath, Code.InvalidArgument, () => {
    const parsed = privateKey(key);
    if (!certificate!.checkPrivateKey(parsed)) {
      throw new NsmError(Code.InvalidArgument, `the private key does not match ${certificatePath}`);
    }
    if (parsed.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
      throw new NsmError(Code.InvalidArgument, "the key of an authority must be ECDSA P-256");
    }
  });
  if (validUntil(certificate!) <= now) {
    throw new NsmError(
      Code.FailedPrecondition,
      `the authority in ${directory} expired at ${new Date(validUntil(certificate!)).toISOString()}: create new certificates for all programs in another directory`,
    );
  }
  return { trustDomain, ca: certificate!.toString(), key };
}
