import { Code, NsmError } from "../core/index.js";

// sun_path is 108 bytes with the terminating zero.
const MAX_SOCKET_PATH = 107;

/** What the caller needs the address for. The error message names it. */
export type AddressUse = "dial" | "listen on";

/**
 * Returns the path of `unix:///path` or `unix:path`, and undefined for other kinds of address.
 *
 * Source: NSM protocol, URLs and listening.
 *
 * @throws NsmError INVALID_ARGUMENT if the path is empty or longer than the kernel allows
 */
export function unixPath(url: string, use: AddressUse): string | undefined {
  if (!url.startsWith("unix:")) return undefined;
  const path = url.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  if (path === "" || path.startsWith("//"))
    throw invalidAddress(url, use, "expected unix:///path or unix:path");
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw invalidAddress(url, use, `the path of a unix socket has at most ${MAX_SOCKET_PATH} bytes`);
  }
  return path;
}

/** The error for an invalid address. Names the value and the rule. */
export function invalidAddress(url: string, use: AddressUse, rule: string): NsmError {
  return new NsmError(Code.InvalidArgument, `"${url}" is not an address to ${use}: ${rule}`);
}
