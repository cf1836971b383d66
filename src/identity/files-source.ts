import { join } from "node:path";
import { Code, NsmError, systemClock, type Clock } from "../core/index.js";
import { watchFiles } from "../files/index.js";
import { exposedKey, IDENTITY_FILES, readIdentityFiles } from "./identity-files.js";
import { warnOfIdentity } from "./warning.js";
import type { X509Source } from "./x509-source.js";

/** How to follow a directory of PEM files. */
export interface FilesSourceOptions {
  readonly clock?: Clock | undefined;
  /** How often the files are read even if the directory reports no change, in milliseconds. Default: 60,000. */
  readonly recheckMs?: number | undefined;
  /**
   * Called once per problem: other users can read the private key, the files became invalid, or the directory
   * cannot be watched. The previous identity stays in use. Default: a process warning.
   */
  readonly onProblem?: ((problem: NsmError) => void) | undefined;
}

/**
 * Reads the identity from a directory with ca.pem, svid.pem (leaf first) and key.pem, and follows changes. A
 * new identity takes effect when all three files match, never in part. Files can be written in place, renamed
 * over, or replaced by a symlink swap as in Kubernetes volumes.
 *
 * @throws NsmError if the initial files are not usable, with the file, its problem and what is allowed
 *
 * @example
 * import { explain } from "nsm-sdk/core";
 * import { filesSource } from "nsm-sdk/identity";
 *
 * const source = await filesSource("/etc/nsm/identity", { onProblem: (p) => logger.warn({}, explain(p)) });
 * source.changes.subscribe(({ svid }) => logger.info({ expires: svid.expires }, "the certificate was renewed"));
 * source.close();
 */
export async function filesSource(directory: string, options: FilesSourceOptions = {}): Promise<X509Source> {
  const { clock = systemClock, recheckMs, onProblem = warnOfIdentity } = options;
  const { failures, ...source } = await watchFiles({
    files: IDENTITY_FILES.map((name) => join(directory, name)),
    read: () => readIdentityFiles(directory, clock.now()),
    // Files of two identities contradict each other.
    usableIsComplete: true,
    onProblem,
    recheckMs,
    clock,
  });
  failures.subscribe((cause) =>
    onProblem(
      new NsmError(Code.FailedPrecondition, `the identity in ${directory} was not updated`, { cause }),
    ),
  );
  const exposed = await exposedKey(directory);
  if (exposed) onProblem(exposed);
  return source;
}
