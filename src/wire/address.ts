import { Code, NsmError } from "../core/index.js";

// sun_path is 108 bytes with the terminating zero.
const MAX_SOCKET_PATH = 107;

/** What an address is wanted for; part of the sentence when it is none. */
export type AddressUse = "dial" | "listen on";

/**
 * The path of `unix:///path` or `unix:path`; undefined for addresses of other kinds.
 *
 * Source: NSM protocol, URLs and listening.
 *
 * @throws NsmError INVALID_ARGUMENT when there is no path, or a longer one than the kernel takes
 */
export function unixPath(url: string, use: AddressUse): string | undefined {
  if (!url.startsWith("unix:")) return undefined;
  const path = url.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  if (path === "" || path.startsWith("//"))
    throw invalidAddress(url, use, "it must be unix:///path or unix:path");
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw invalidAddress(url, use, `the path of a unix socket has at most ${MAX_SOCKET_PATH} bytes`);
  }
  return path;
}

/** The error for what is no address: it names the value and the rule. */
export function invalidAddress(url: string, use: AddressUse, rule: string): NsmError {
  return new NsmError(Code.InvalidArgument, `"${url}" is not an address to ${use}: ${rule}`);
}
