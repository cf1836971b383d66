import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { explain } from "../core/index.js";
import { libc } from "./libc.js";
import { type NetworkNamespace, newNamespace } from "./namespace.js";
import { rule } from "./nftables/rule.js";
import { accept, counter, ctState } from "./nftables/statements.js";
import { nftablesIn } from "./nftables/nftables.js";
import { netlinkIn } from "./rtnetlink/netlink.js";
import { createVeth } from "./rtnetlink/veth.js";
import { ping } from "./sockets/ping.js";
import { allowPing } from "./sysctl.js";

/** The result of one check, with a remedy if it failed. */
export interface PreflightCheck {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
  /** One line for the operator. Absent if nothing needs to be done. */
  readonly remedy?: string;
}

const privileged =
  "run as root, or in a container started with --cap-add SYS_ADMIN --cap-add NET_ADMIN, or inside `unshare -Urn`";

/**
 * Tests what the kernel layer needs, in temporary namespaces: the native module, namespaces, veth links, the
 * packet filter with connection tracking, and ping. Checks that depend on a failed one are reported as not
 * tried. Without privileges, it also reports whether user namespaces, the alternative, are allowed.
 *
 * @example
 * import { preflight } from "nsm-sdk/linux";
 *
 * for (const { what, remedy } of (await preflight()).filter(({ ok }) => !ok))
 *   console.error(`${what}: ${remedy}`);
 */
export async function preflight(): Promise<readonly PreflightCheck[]> {
  const checks: PreflightCheck[] = [];
  const namespaces: NetworkNamespace[] = [];
  const attempt = async (what: string, remedy: string, work: () => unknown): Promise<void> => {
    if (checks.some(({ ok }) => !ok)) {
      checks.push({
        what,
        ok: false,
        detail: "not tried: something it needs is missing",
        remedy: checks.find(({ ok }) => !ok)?.remedy ?? remedy,
      });
      return;
    }
    try {
      checks.push({ what, ok: true, detail: String((await work()) ?? "works") });
    } catch (error) {
      checks.push({ what, ok: false, detail: explain(error), remedy });
    }
  };
  try {
    await attempt(
      "native module",
      "install on Linux with glibc or musl, without leaving out optional packages",
      () => {
        libc();
      },
    );
    await attempt("network namespaces", privileged, () => {
      namespaces.push(newNamespace(), newNamespace());
      return `made ${namespaces[0]!.name}`;
    });
    const [a, b] = namespaces as [NetworkNamespace, NetworkNamespace];
    await attempt("veth links", "use a kernel with CONFIG_VETH, or load its module: modprobe veth", () =>
      wire(a, b),
    );
    await attempt(
      "nftables",
      "use a kernel with CONFIG_NF_TABLES_INET, NFT_CT and NF_CONNTRACK, or load them: modprobe -a nf_tables nft_ct",
      () => filter(b),
    );
    await attempt("ping", "mount /proc/sys writable, or add CAP_NET_RAW", () => echo(a));
    if (checks.find(({ what }) => what === "network namespaces")?.ok === false) checks.push(userNamespaces());
    return checks;
  } finally {
    for (const namespace of namespaces) namespace.close();
  }
}

async function wire(a: NetworkNamespace, b: NetworkNamespace): Promise<void> {
  await createVeth({ a: { namespace: a, name: "a", up: true }, b: { namespace: b, name: "b", up: true } });
  await netlinkIn(a).addAddress("a", "192.0.2.1/30"); // TEST-NET-1: reserved, and not visible outside
  await netlinkIn(b).addAddress("b", "192.0.2.2/30");
}

async function filter(namespace: NetworkNamespace): Promise<void> {
  await nftablesIn(namespace).replaceTable({
    family: "inet",
    name: "preflight",
    counters: ["seen"],
    chains: [
      {
        name: "in",
        hook: { name: "input" },
        rules: [rule([ctState("established", "new"), counter("seen"), accept()])],
      },
    ],
  });
}

async function echo(namespace: NetworkNamespace): Promise<string> {
  let access = "without privileges";
  try {
    allowPing(namespace);
  } catch (error) {
    access = `only with privileges: ${explain(error)}`; // enough for root; /proc/sys is read-only in many containers
  }
  const { received } = await ping({ namespace, to: "192.0.2.2", count: 1, timeoutMs: 2000 });
  if (received === 0) throw new Error("a packet over a new veth pair got no reply");
  return access;
}

/** Whether an unprivileged user can create a user namespace, with network namespaces in it. */
function userNamespaces(): PreflightCheck {
  const what = "user namespaces";
  const { status, error, stderr } = spawnSync("unshare", ["-Urn", "true"], {
    encoding: "utf8",
    timeout: 5000,
  });
  if (status === 0) return { what, ok: true, detail: "allowed: start the program inside `unshare -Urn`" };
  const detail = error ? `cannot run unshare(1): ${error.message}` : stderr.trim();
  return { what, ok: false, detail, remedy: userNamespaceRemedy() };
}

function userNamespaceRemedy(): string {
  const setting = (name: string) => {
    try {
      return readFileSync(`/proc/sys/${name}`, "utf8").trim();
    } catch {
      return undefined; // this kernel has no such setting
    }
  };
  if (setting("user/max_user_namespaces") === "0") return "sysctl -w user.max_user_namespaces=10000";
  if (setting("kernel/unprivileged_userns_clone") === "0")
    return "sysctl -w kernel.unprivileged_userns_clone=1";
  if (setting("kernel/apparmor_restrict_unprivileged_userns") === "1") {
    return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
  }
  return privileged;
}
