import { closeSync } from "node:fs";
import { Code, NsmError } from "../../core/index.js";
import { AF_INET, SOCK_CLOEXEC, SOCK_NONBLOCK } from "../constants.js";
import { errnoName, errnoText, refusal, SystemCallError } from "../errno.js";
import { ipText, parseIp } from "../ip-text.js";
import { check, libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";
import { assertRange } from "../rtnetlink/link-name.js";

/** An IP address without prefix length, and a port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** sockaddr_in or sockaddr_in6. */
export function socketAddress({ host, port }: Endpoint): Buffer {
  const { family, bytes } = parseHost(host);
  const address = Buffer.alloc(family === AF_INET ? 16 : 28);
  address.writeUInt16LE(family, 0);
  address.writeUInt16BE(assertRange("port", port, 0, 65535), 2);
  bytes.copy(address, family === AF_INET ? 4 : 8);
  return address;
}

/** Parses an address. Rejects a prefix. */
export function parseHost(host: string) {
  if (host.includes("/"))
    throw new NsmError(Code.InvalidArgument, `"${host}" is a prefix: expected an address`);
  return parseIp(host);
}

/**
 * Opens a non-blocking socket in the namespace, of the family of `host`. It stays there, wherever this thread
 * moves later. The caller closes it. Throws PERMISSION_DENIED if this kind of socket is not allowed.
 */
export function openSocket(namespace: NetworkNamespace, host: string, type: number, protocol = 0): number {
  const { family } = parseHost(host);
  try {
    return namespace.run(() =>
      check("socket", libc().socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)),
    );
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    throw refusal(error.code, `cannot open a socket in ${namespace.name}: ${errnoText(error.code)}`, error);
  }
}

/** Binds a socket. Throws ALREADY_EXISTS if the address is in use, INVALID_ARGUMENT if no link has it. */
export function bindSocket(fd: number, local: Endpoint, namespace: NetworkNamespace): void {
  const address = socketAddress(local);
  if (libc().bind(fd, address, address.length) === 0) return;
  const errno = errnoName(libc().errno());
  throw refusal(
    errno,
    `cannot bind to ${local.host} port ${local.port} in ${namespace.name}: ${errnoText(errno)}`,
  );
}

/** The address and port that the kernel assigned to a socket. */
export function localEndpoint(fd: number): Endpoint {
  const [address, length] = [Buffer.alloc(28), Buffer.of(28, 0, 0, 0)];
  check("getsockname", libc().getsockname(fd, address, length));
  const v4 = address.readUInt16LE(0) === AF_INET;
  return {
    host: ipText(v4 ? address.subarray(4, 8) : address.subarray(8, 24)),
    port: address.readUInt16BE(2),
  };
}

/** Runs `work` with a descriptor. Closes the descriptor if `work` fails; otherwise the result owns it. */
export async function owning<T>(fd: number, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
