import { stat } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { log, readText, type Context } from "../../core/index.js";
import { AddressSet, formatPrefix, parsePrefix } from "../../net/index.js";

// An empty file is an empty list.
const content = z.object({ prefixes: z.array(z.string()).nullish() }).nullish();

/** What the file held in one of its versions. */
interface Content {
  readonly version: string;
  readonly prefixes: Promise<readonly string[]>;
}

/**
 * The prefixes in a file, joined where they are neighbours, IPv4 first. The file is read again when it has
 * changed, which costs a stat() per call and needs no watcher that could miss the swap of a link. Calls that come
 * while it is read wait for the same content.
 */
export function prefixFile(path: string): (ctx: Context) => Promise<readonly string[]> {
  let newest: Content | undefined;

  const read = async (ctx: Context, version: string, before?: Content): Promise<readonly string[]> => {
    try {
      return version === "absent" ? [] : parsePrefixes(await readText(path));
    } catch (error) {
      log(ctx).warn(
        { err: error, file: path },
        "excluded prefixes stay as they were: the file cannot be used",
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

/** Changes whenever the file does; the error's code when it cannot be looked at. */
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
