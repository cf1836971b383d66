import { closeSync } from "node:fs";
import type { NetworkNamespace } from "../../../../src/linux/index.js";
import { netlinkIn } from "../../../../src/linux/index.js";
import { check, libc } from "../../../../src/linux/libc.js";

const AF_INET6 = 10;
const SOCK_RAW = 3;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_IPV6 = 41;
const IPV6_MULTICAST_HOPS = 18;

/** A router advertisement (RFC 4861, 4.2): "I am your default router for half an hour". */
const advertisement = Buffer.concat([
  Buffer.of(134, 0, 0, 0), // type, code, checksum (the kernel's to compute)
  Buffer.of(64, 0, 0x07, 0x08), // hop limit, flags, lifetime 1,800 s
  Buffer.alloc(8), // reachable time, retransmission timer
]);

/** Sends a router advertisement to all nodes of a link. */
export async function advertiseRouter(namespace: NetworkNamespace, link: string): Promise<void> {
  const { index } = await netlinkIn(namespace).link(link);
  const c = libc();
  const fd = namespace.run(() => check("socket", c.socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)));
  try {
    // Receivers take it only if no router has forwarded it: with the highest hop limit.
    check("setsockopt", c.setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, Buffer.of(255, 0, 0, 0), 4));
    const allNodes = Buffer.alloc(28);
    allNodes.writeUInt16LE(AF_INET6, 0);
    Buffer.from("ff020000000000000000000000000001", "hex").copy(allNodes, 8);
    allNodes.writeUInt32LE(index, 24);
    check("connect", c.connect(fd, allNodes, allNodes.length));
    check("send", c.send(fd, advertisement, advertisement.length, 0));
  } finally {
    closeSync(fd);
  }
}
