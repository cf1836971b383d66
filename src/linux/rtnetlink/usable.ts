import { closeSync } from "node:fs";
import { Code, NsmError } from "../../core/index.js";
import { MSG_DONTWAIT } from "../constants.js";
import { libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";
import { NETLINK_ROUTE, openNetlink } from "../netlink/open.js";
import { type WaitOptions, until } from "../sockets/until.js";

const RTMGRP_IPV6_IFADDR = 0x100;

/**
 * Waits until `missing` returns no addresses. Checks again whenever the kernel reports a change of an IPv6
 * address in the namespace.
 */
export async function untilUsable(
  namespace: NetworkNamespace,
  missing: () => Promise<readonly string[]>,
  { timeoutMs = 2000, signal }: WaitOptions,
): Promise<void> {
  if ((await missing()).length === 0) return;
  const fd = openNetlink(namespace, NETLINK_ROUTE, RTMGRP_IPV6_IFADDR);
  try {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const left = await missing();
      if (left.length === 0) return;
      const rest = Math.max(0, end - performance.now());
      if (await until(fd, { readable: true }, () => drained(fd), { timeoutMs: rest, signal })) continue;
      throw new NsmError(
        Code.DeadlineExceeded,
        `${left.join(", ")} of ${namespace.name} are not usable after ${timeoutMs} ms`,
      );
    }
  } finally {
    closeSync(fd);
  }
}

/** Reads and discards all pending notifications. */
function drained(fd: number): true {
  while (libc().recv(fd, received, received.length, MSG_DONTWAIT) >= 0);
  return true;
}

const received = Buffer.alloc(32 << 10);
