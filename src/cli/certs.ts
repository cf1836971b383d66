import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Code, NsmError } from "../core/index.js";
import { readText } from "../files/index.js";
import { makeDirectory } from "../files/index.js";
import {
  authority,
  parseCertificates,
  readAuthority,
  SpiffeId,
  verifySvid,
  type IssuedSvid,
  type RootAuthority,
} from "../identity/index.js";
import { spiffeIdOf, validUntil } from "../identity/certificate.js";

/** Options of {@link makeCertificates}. */
export interface CertsOptions {
  /** Parent directory. Each ID gets its own directory in it, and so does the authority. */
  readonly dir: string;
  /** Lifetime of new certificates, in milliseconds. */
  readonly lifetimeMs: number;
  readonly ids: readonly string[];
  /** Whether to replace existing certificates. Default: false. */
  readonly renew?: boolean | undefined;
}

/** The identity of one program. */
export interface Certified {
  readonly id: SpiffeId;
  /** For `--identity files=`. */
  readonly folder: string;
  /** Whether it existed before and is unchanged. */
  readonly kept: boolean;
}

/** Name of the authority's directory, in the parent directory. */
const AUTHORITY = "authority";

/**
 * Issues a certificate for each ID, in directories for `--identity files=`, named after the last segment of the ID.
 * Keeps the authority in the directory `authority`, so that later calls use the same one. Keeps certificates that
 * have not expired, unless `renew` is set. For trials, not for a long-lived mesh.
 *
 * @returns the identities, in the order of the IDs
 * @throws NsmError INVALID_ARGUMENT if an ID is malformed, is in another trust domain or has the directory of another
 * ID, and for a lifetime that no certificate can have; FAILED_PRECONDITION for a directory with certificates of another
 * authority; the errors of readAuthority(). Nothing is written then.
 */
export async function makeCertificates({ dir, lifetimeMs, ids, renew }: CertsOptions): Promise<Certified[]> {
  const wanted = foldersOf(dir, ids);
  const { ca, isNew } = await authorityIn(dir, wanted[0]!.id.trustDomain);
  const results: (Certified & { readonly issued?: IssuedSvid })[] = [];
  for (const { id, folder } of wanted) {
    const kept = !renew && (await isCurrent(folder, id, ca));
    results.push({
      id,
      folder,
      kept,
      ...(!kept && { issued: await ca.issue({ path: id.path, lifetimeMs }) }),
    });
  }
  makeDirectory(dir);
  if (isNew) await ca.writeTo(join(dir, AUTHORITY));
  for (const { issued, folder } of results) await issued?.writeTo(folder);
  return results.map(({ id, folder, kept }) => ({ id, folder, kept }));
}

function foldersOf(dir: string, ids: readonly string[]): { id: SpiffeId; folder: string }[] {
  const parsed = ids.map((id) => SpiffeId.parse(id));
  const folders = parsed.map((id) => join(dir, id.path.split("/").at(-1)!));
  return parsed.map((id, i) => {
    const folder = folders[i]!;
    if (id.trustDomain !== parsed[0]!.trustDomain) {
      throw new NsmError(
        Code.InvalidArgument,
        `${id.toString()} is in another trust domain than ${ids[0]}: one authority issues certificates for one trust domain`,
      );
    }
    if (folders.indexOf(folder) !== i) {
      throw new NsmError(
        Code.InvalidArgument,
        `two IDs have the same last segment: both would be written to ${folder}`,
      );
    }
    if (folder === dir || folder === join(dir, AUTHORITY)) {
      throw new NsmError(
        Code.InvalidArgument,
        `${id.toString()} cannot be written to ${folder}: give it another last part`,
      );
    }
    return { id, folder };
  });
}

/** The authority that is kept in `dir`, or a new one if `dir` has no certificates yet. */
async function authorityIn(
  dir: string,
  trustDomain: string,
): Promise<{ readonly ca: RootAuthority; readonly isNew: boolean }> {
  const folder = join(dir, AUTHORITY);
  if (!existsSync(folder)) {
    const [orphan] = existsSync(dir)
      ? readdirSync(dir).filter((name) => existsSync(join(dir, name, "svid.pem")))
      : [];
    if (orphan === undefined) return { ca: await authority({ trustDomain }), isNew: true };
    throw new NsmError(
      Code.FailedPrecondition,
      `${folder} is missing, and ${join(dir, orphan)} has a certificate of the lost authority: restore it, or create new certificates for all programs in another directory`,
    );
  }
  const ca = await readAuthority(folder);
  if (ca.trustDomain === trustDomain) return { ca, isNew: false };
  throw new NsmError(
    Code.InvalidArgument,
    `the authority in ${folder} is of the trust domain ${ca.trustDomain}, not ${trustDomain}: use another directory`,
  );
}

/** Whether `folder` has an identity for `id` that this authority has issued and that has not expired. */
async function isCurrent(folder: string, id: SpiffeId, ca: RootAuthority): Promise<boolean> {
  const file = join(folder, "svid.pem");
  if (!existsSync(file) || !existsSync(join(folder, "key.pem"))) return false;
  const chain = parseCertificates(await readText(file));
  const found = spiffeIdOf(chain[0]!);
  if (!id.equals(found)) {
    throw new NsmError(
      Code.InvalidArgument,
      `${folder} has the certificate of ${found.toString()}, not ${id.toString()}: --renew replaces it`,
    );
  }
  const now = Date.now();
  if (validUntil(chain[0]!) <= now) return false;
  try {
    verifySvid(chain, new Map([[ca.trustDomain, parseCertificates(ca.ca)]]), now);
    return true;
  } catch (cause) {
    throw new NsmError(
      Code.FailedPrecondition,
      `${folder} has a certificate of another authority: --renew replaces it`,
      { cause },
    );
  }
}
