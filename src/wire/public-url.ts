import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";

const UNSPECIFIED = new Set(["", "0.0.0.0", "[::]", "::"]);

/**
 * The address at which other processes reach this one: the first TCP address it listens on, otherwise the
 * first address. A wildcard host is replaced by the machine's first IPv4 address, otherwise by its first
 * global IPv6 one.
 */
export function publicUrl(listenOn: readonly string[], addresses = ownAddresses()): string {
  const chosen = listenOn.find((url) => url.startsWith("tcp://")) ?? listenOn[0]!;
  const match = /^tcp:\/\/(.*):(\d+)$/.exec(chosen);
  if (!match || !UNSPECIFIED.has(match[1]!)) return chosen;
  const parsed = addresses.map((address) => ipaddr.parse(address));
  const own =
    parsed.find((address) => address.kind() === "ipv4" && address.range() !== "loopback") ??
    parsed.find(
      (address) => ["unicast", "uniqueLocal"].includes(address.range()) && address.kind() === "ipv6",
    );
  if (!own) return chosen;
  const host = own.kind() === "ipv6" ? `[${own.toString()}]` : own.toString();
  return `tcp://${host}:${match[2]}`;
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address.split("%")[0]!),
  );
}
