import { readFileSync, writeFileSync } from "node:fs";
import { Code, codeOf, NsmError } from "../core/index.js";
import { errnoOf, errnoText, refusal } from "./errno.js";
import type { NetworkNamespace } from "./namespace.js";
import { assertLinkName } from "./rtnetlink/link-name.js";

/**
 * Writes a network setting of a namespace: `writeSysctl(lab, "ipv4/ip_forward", "1")` writes
 * `/proc/sys/net/ipv4/ip_forward` inside it.
 *
 * @throws NsmError NOT_FOUND for a setting that the kernel does not have, INVALID_ARGUMENT for a value that
 * it rejects, PERMISSION_DENIED if /proc/sys is read-only (the default in containers) or the namespace
 * belongs to another user
 */
export function writeSysctl(namespace: NetworkNamespace, setting: string, value: string): void {
  const path = sysctlPath(setting);
  access(namespace, `set ${path} to "${value}"`, () => writeFileSync(path, value, { flag: "r+" }));
}

/** Reads a network setting of a namespace, without the final newline. */
export function readSysctl(namespace: NetworkNamespace, setting: string): string {
  const path = sysctlPath(setting);
  return access(namespace, `read ${path}`, () => readFileSync(path, "utf8").trimEnd());
}

/**
 * Lets every user of the namespace send ICMP echo requests without privileges. In a user namespace that maps
 * a single group, only that group.
 */
export function allowPing(namespace: NetworkNamespace): void {
  try {
    writeSysctl(namespace, "ipv4/ping_group_range", "0 2147483647");
  } catch (error) {
    if (codeOf(error) !== Code.InvalidArgument) throw error; // some group of the range has no mapping here
    const group = process.getegid?.() ?? 0;
    writeSysctl(namespace, "ipv4/ping_group_range", `${group} ${group}`);
  }
}

/** Enables IPv6 on a link. The kernel rejects IPv6 addresses on a link where it is disabled. */
export function enableIpv6(namespace: NetworkNamespace, link: string): void {
  writeSysctl(namespace, `ipv6/conf/${assertLinkName(link)}/disable_ipv6`, "0");
}

function sysctlPath(setting: string): string {
  const parts = setting.split("/");
  if (parts.length >= 2 && parts.every((part) => part !== "" && part !== "." && part !== "..")) {
    return `/proc/sys/net/${setting}`;
  }
  throw new NsmError(
    Code.InvalidArgument,
    `"${setting}" is not a network setting: expected a path like "ipv4/ip_forward"`,
  );
}

/** /proc/sys/net shows the namespace of the opening thread, so the file is opened inside the namespace. */
function access<T>(namespace: NetworkNamespace, action: string, fn: () => T): T {
  return namespace.run(() => {
    try {
      return fn();
    } catch (error) {
      const errno = errnoOf(error) ?? "EIO";
      throw refusal(errno, `cannot ${action} in ${namespace.name}: ${errnoText(errno)}`, error);
    }
  });
}
