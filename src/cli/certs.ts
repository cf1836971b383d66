import { join } from "node:path";
import { Code, NsmError } from "../core/index.js";
import { makeDirectory } from "../files/index.js";
import { authority, SpiffeId } from "../identity/index.js";

/** What `nsmctl certs` is told. */
export interface CertsOptions {
  /** The folder that gets one folder per id. */
  readonly dir: string;
  readonly lifetimeMs: number;
  readonly ids: readonly string[];
}

/**
 * Makes an authority and a certificate for each id, in folders that `--identity files=` takes, named after the
 * last part of the id. The authority's key is not kept: for trying out, not for running a mesh for years.
 *
 * @returns the folders, in the order of the ids
 * @throws NsmError INVALID_ARGUMENT for an id that is malformed, of another trust domain, or has a namesake, and for a
 * lifetime that no certificate can have
 */
export async function makeCertificates({ dir, lifetimeMs, ids }: CertsOptions): Promise<string[]> {
  const parsed = ids.map((id) => SpiffeId.parse(id));
  const { trustDomain } = parsed[0]!;
  const folders = parsed.map((id) => join(dir, id.path.split("/").at(-1)!));
  for (const [i, id] of parsed.entries()) {
    if (id.trustDomain !== trustDomain) {
      throw new NsmError(
        Code.InvalidArgument,
        `${id.toString()} is of another trust domain than ${ids[0]}: one authority makes certificates for one`,
      );
    }
    if (folders.indexOf(folders[i]!) !== i) {
      throw new NsmError(
        Code.InvalidArgument,
        `two ids end in the same name: both would be written to ${folders[i]}`,
      );
    }
  }
  const { issue } = await authority({ trustDomain });
  const svids = await Promise.all(parsed.map(({ path }) => issue({ path, lifetimeMs })));
  makeDirectory(dir);
  for (const [i, svid] of svids.entries()) await svid.writeTo(folders[i]!);
  return folders;
}
