import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

const HOST_AND_PORT = /^(?:tcp:\/\/|dns:(?:\/\/\/)?|ipv[46]:(?:\/\/\/)?)?(\[[^\]]*\]|[^:/[\]]*):\d+$/;

/** Whether a host can only be this machine: an address of the loopback network, or the name `localhost`. */
export function isLocalHost(host: string): boolean {
  const family = isIP(host);
  // The list also knows the IPv4 addresses that are written as IPv6: ::ffff:127.0.0.1.
  return family === 0 ? host === "localhost" : loopback.check(host, family === 4 ? "ipv4" : "ipv6");
}

/**
 * Whether an address to dial lies on this machine, as far as its text tells: a unix socket, a local host, or no
 * host, which means this one. What cannot be read lies elsewhere.
 *
 * @example
 * import { isLocalUrl } from "nsm-sdk/wire";
 *
 * isLocalUrl("tcp://127.0.0.1:5001") && isLocalUrl("tcp://:5001") && !isLocalUrl("tcp://nsmgr:5001");
 */
export function isLocalUrl(url: string): boolean {
  if (url.startsWith("unix:")) return true;
  const host = HOST_AND_PORT.exec(url)?.[1];
  return host !== undefined && (host === "" || isLocalHost(host.replace(/^\[(.*)\]$/, "$1")));
}
