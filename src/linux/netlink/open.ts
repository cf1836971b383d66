import { closeSync } from "node:fs";
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET } from "../constants.js";
import { check, libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

/**
 * Opens a netlink descriptor in the namespace, with error messages and filtered dumps enabled. `groups` is
 * the bit mask of multicast groups to join.
 */
export function openNetlink(namespace: NetworkNamespace, protocol: number, groups = 0): number {
  const c = libc();
  const fd = namespace.run(() => check("socket", c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)));
  try {
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(groups, 8);
    check("bind", c.bind(fd, address, address.length));
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
      check("setsockopt", c.setsockopt(fd, SOL_NETLINK, option, Buffer.of(1, 0, 0, 0), 4));
    }
    // Tables with thousands of rules need more than the default size. Only root in the initial user namespace
    // can exceed the system limit; elsewhere the kernel caps the size.
    const size = Buffer.alloc(4);
    size.writeUInt32LE(16 << 20);
    if (c.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, size, 4) < 0)
      c.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size, 4);
    if (c.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4) < 0)
      c.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, size, 4);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
