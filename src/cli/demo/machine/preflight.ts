import { release } from "node:os";
import { Code, NsmError } from "../../../core/index.js";
import { preflight as tryKernel, type PreflightCheck } from "../../../linux/index.js";
import { isInUserNamespace } from "./user-namespace.js";

/** How the demo can run on this machine. */
export type Way =
  /** In this process. */
  | { readonly kind: "here"; readonly detail: string }
  /** As root of a user namespace. */
  | { readonly kind: "user-namespace" };

/**
 * Tests whether this machine can run the demo.
 *
 * @throws NsmError FAILED_PRECONDITION with what is missing and how to provide it
 */
export async function preflight(): Promise<Way> {
  const checks = await tryKernel();
  const missing = checks.find(({ ok }) => !ok);
  if (!missing) {
    const who = isInUserNamespace() ? "an ordinary user, in a user namespace," : "root";
    return { kind: "here", detail: `as ${who} on Linux ${release()}` };
  }
  const wayAround = checks.find(({ what }) => what === "user namespaces");
  if (wayAround?.ok && !isInUserNamespace()) return { kind: "user-namespace" };
  const text = wayAround?.ok === false ? withoutWayAround(missing, wayAround) : sentence(missing);
  throw new NsmError(Code.FailedPrecondition, text.replace(/\s+/g, " "));
}

function sentence({ what, detail, remedy }: PreflightCheck): string {
  // The detail of a missing capability already contains the remedy.
  return remedy === undefined || lacking(detail) ? `${what}: ${detail}` : `${what}: ${detail}; ${remedy}`;
}

/** The process is not privileged and cannot become root of a user namespace. */
function withoutWayAround({ what, detail }: PreflightCheck, wayAround: PreflightCheck): string {
  const setting = wayAround.remedy?.startsWith("sysctl") ? `, or allow them: ${wayAround.remedy}` : "";
  return (
    `no ${what}: ${lacking(detail) ?? detail}, and user namespaces are not allowed on this machine (${wayAround.detail}); ` +
    `run it as root, or in a container with --cap-add SYS_ADMIN --cap-add NET_ADMIN${setting}`
  );
}

function lacking(detail: string): string | undefined {
  return /this process lacks CAP_\w+/.exec(detail)?.[0];
}
