import { isIP } from "node:net";
import { Code, NsmError } from "../core/index.js";
import { unixPath } from "../wire/index.js";

const UNIX = /^unix:(?:\/\/)?(\/[^/?#][^?#]*)$/;
const TCP = /^tcp:\/\/(?:\[([^\]]+)\]|([^:/?#@[\]]+)):(\d+)$/;

/**
 * Converts the address of a Workload API to its gRPC target.
 *
 * Source: SPIFFE Workload Endpoint standard, section 4.
 *
 * @throws NsmError INVALID_ARGUMENT with the value and the allowed forms
 */
export function workloadTarget(address: string): string {
  if (UNIX.test(address)) return `unix:${unixPath(address, "dial")}`;
  const [, v6, host, port] = TCP.exec(address) ?? [];
  const [ip, family] = v6 === undefined ? [host, 4] : [v6, 6];
  const inRange = Number(port) >= 1 && Number(port) <= 65_535;
  if (ip !== undefined && isIP(ip) === family && inRange) {
    return v6 === undefined ? `ipv4:${ip}:${port}` : `ipv6:[${ip}]:${port}`;
  }
  throw new NsmError(
    Code.InvalidArgument,
    `"${address}" is not the address of a Workload API: expected unix:///path or tcp://ip:port`,
  );
}
