import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

const HOST_AND_PORT = /^(?:tcp:\/\/|dns:(?:\/\/\/)?|ipv[46]:(?:\/\/\/)?)?(\[[^\]]*\]|[^:/[\]]*):(\d+)$/;

/** Whether a host is certainly this machine: a loopback address or the name `localhost`. */
export function isLocalHost(host: string): boolean {
  const family = isIP(host);
  // The list also matches IPv4 addresses in IPv6 notation (::ffff:127.0.0.1).
  return family === 0 ? host === "localhost" : loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}

/**
 * Whether an address to dial is on this machine, judged by its text. True for a unix socket, a local host,
 * and an address without a host (which means this host). False for an address that cannot be parsed.
 */
export function isLocalUrl(url: string): boolean {
  if (url.startsWith("unix:")) return true;
  const host = HOST_AND_PORT.exec(url)?.[1];
  return host !== undefined && (host === "" || isLocalHost(host.replace(/^\[(.*)\]$/, "$1")));
}

/** What a server listens on to be reached at every address of its machine. */
const ANY_HOST = new Set(["", "0.0.0.0", "[::]"]);
const LOCALHOST = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Whether two URLs lead to the same socket of this machine, as far as their texts show. Port 0 is any free port, so
 * two of them never do.
 */
export function isSameSocket(one: string, other: string): boolean {
  const [, host, port] = HOST_AND_PORT.exec(one) ?? [];
  const [, otherHost, otherPort] = HOST_AND_PORT.exec(other) ?? [];
  if (host === undefined || otherHost === undefined) return one === other;
  if (port !== otherPort || port === "0") return false;
  return (
    host === otherHost ||
    (LOCALHOST.has(host) && LOCALHOST.has(otherHost)) ||
    (ANY_HOST.has(host) && isLocalUrl(`${otherHost}:1`)) ||
    (ANY_HOST.has(otherHost) && isLocalUrl(`${host}:1`)) ||
    (ANY_HOST.has(host) && ANY_HOST.has(otherHost))
  );
}
