import { invalidAddress, unixPath } from "./address.js";

const HOST = String.raw`(\[[0-9a-fA-F:.%\w]+\]|[^:/\[\]\s]+)`;
const TCP = new RegExp(`^${HOST}?:(\\d+)$`);
const NAME_AND_PORT = /^[A-Za-z_][\w.-]*:\d+$/;

/**
 * Converts an address to its gRPC target. Accepts `tcp://host:port`, `unix:///path`, `unix:path`, and dial
 * targets such as `registry:5002` or `dns:///registry:5002`.
 *
 * Source: NSM protocol, URLs and listening.
 *
 * @throws NsmError INVALID_ARGUMENT with the value and the allowed forms
 */
export function targetOf(url: string): string {
  if (url.startsWith("tcp://")) {
    const [, host, port] = TCP.exec(url.slice("tcp://".length)) ?? [];
    if (!validPort(port)) throw invalidAddress(url, "dial", "expected tcp://host:port");
    // As in Go, no host means this host.
    return `dns:${host ?? "localhost"}:${port}`;
  }
  const path = unixPath(url, "dial");
  if (path !== undefined) return `unix:${path}`;
  if (/^(dns|ipv4|ipv6):./.test(url)) return url;
  if (NAME_AND_PORT.test(url) && validPort(url.slice(url.lastIndexOf(":") + 1))) return `dns:${url}`;
  const hint = TCP.test(url) ? `; did you mean tcp://${url}?` : "";
  throw invalidAddress(url, "dial", `expected tcp://host:port, unix:///path or name:port${hint}`);
}

/** Whether a target is an IP address with a port. */
export function isAddressTarget(target: string): boolean {
  return /^(dns|ipv4|ipv6):(\/\/\/)?(\[|\d+(\.\d+){3}:)/.test(target);
}

function validPort(port: string | undefined): boolean {
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}
