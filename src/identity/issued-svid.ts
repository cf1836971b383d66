import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory } from "../files/index.js";
import type { SpiffeId } from "./spiffe-id.js";

/** A workload's certificate, its key, and the bundle to verify it, as PEM. */
export interface IssuedSvid {
  readonly id: SpiffeId;
  /** The root certificate of the trust domain. */
  readonly ca: string;
  /** Leaf first, then the intermediates, without the root. */
  readonly svid: string;
  /** PKCS#8. */
  readonly key: string;
  /**
   * Writes ca.pem, svid.pem and key.pem (readable by the owner only) to `directory`, for filesSource().
   * Creates the directory if needed. Replaces each file atomically.
   */
  writeTo(directory: string): Promise<void>;
}

/** Wraps the PEM texts that an authority issued. */
export function issuedSvid(id: SpiffeId, ca: string, svid: string, key: string): IssuedSvid {
  return {
    id,
    ca,
    svid,
    key,
    async writeTo(directory) {
      makeDirectory(directory);
      await replaceFile(join(directory, "ca.pem"), ca, 0o644);
      await replaceFile(join(directory, "key.pem"), key, 0o600);
      await replaceFile(join(directory, "svid.pem"), svid, 0o644);
    },
  };
}

/** Writes a file in one step. The new file gets `mode`. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, text, { mode, flag: "wx" });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
