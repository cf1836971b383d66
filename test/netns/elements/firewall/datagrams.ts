import { closeSync } from "node:fs";
import type { Endpoint, NetworkNamespace } from "../../../../src/linux/index.js";
import { MSG_DONTWAIT, SOCK_DGRAM } from "../../../../src/linux/constants.js";
import { check, libc } from "../../../../src/linux/libc.js";
import { bindSocket, openSocket, socketAddress } from "../../../../src/linux/sockets/open.js";
import { until } from "../../../../src/linux/sockets/until.js";

const buffer = Buffer.alloc(64);

/** A UDP socket between two addresses, in a namespace. */
export function datagrams(namespace: NetworkNamespace, local: Endpoint, remote: Endpoint) {
  const fd = openSocket(namespace, local.host, SOCK_DGRAM);
  bindSocket(fd, local, namespace);
  const address = socketAddress(remote);
  check("connect", libc().connect(fd, address, address.length));
  const receive = () => (libc().recv(fd, buffer, buffer.length, MSG_DONTWAIT) >= 0 ? true : undefined);
  return {
    send: (): void => {
      libc().send(fd, Buffer.from("hello"), 5, MSG_DONTWAIT);
    },
    /** Whether a datagram comes within the time. */
    arrives: async (timeoutMs = 200): Promise<boolean> =>
      (await until(fd, { readable: true }, receive, { timeoutMs })) ?? false,
    /** How many have come so far. */
    count(): number {
      let count = 0;
      while (receive()) count++;
      return count;
    },
    close: () => closeSync(fd),
  };
}
