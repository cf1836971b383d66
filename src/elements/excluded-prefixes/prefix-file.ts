import { stat } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { log, type Context } from "../../core/index.js";
import { readText } from "../../files/index.js";
import { AddressSet, formatPrefix, parsePrefix } from "../../net/index.js";

// An empty file is an empty list.
const content = z.object({ prefixes: z.array(z.string()).nullish() }).nullish();

/** The content of one version of the file. */
interface Content {
  readonly version: string;
  readonly prefixes: Promise<readonly string[]>;
}

/**
 * Reads the prefixes of a file, with adjacent prefixes merged, IPv4 first. The file is read again when it has
 * changed. This costs one stat() per call and needs no watcher, which could miss a replaced symlink. Concurrent
 * calls share one read.
 */
export function prefixFile(path: string): (ctx: Context) => Promise<readonly string[]> {
  let newest: Content | undefined;

  const read = async (ctx: Context, version: string, before?: Content): Promise<readonly string[]> => {
    try {
      return version === "absent" ? [] : parsePrefixes(await readText(path));
    } catch (error) {
      log(ctx).warn(
        { err: error, file: path },
        "could not read the file of excluded prefixes, the earlier prefixes stay in force",
      );
      return before?.prefixes ?? [];
    }
  };

  return async (ctx) => {
    const version = await versionOf(path);
    if (newest?.version !== version) newest = { version, prefixes: read(ctx, version, newest) };
    return newest.prefixes;
  };
}

/** A value that changes with the file, or the error code if the file is not accessible. */
async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? "absent" : (code ?? "unknown");
  }
}

function parsePrefixes(text: string): readonly string[] {
  const { prefixes } = content.parse(parse(text)) ?? {};
  return new AddressSet((prefixes ?? []).map(parsePrefix)).prefixes().map(formatPrefix);
}
