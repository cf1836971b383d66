import { normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { MechanismType, Parameter, type Mechanism } from "../../api/index.js";
import { Code, NsmError } from "../../core/index.js";
import { assertLinkName } from "../../linux/rtnetlink/link-name.js";

/** The location of one side's interface, as requested by that side. */
export interface End {
  readonly whose: "client" | "endpoint";
  /** Path of the namespace file. */
  readonly path: string;
  /** Name of the interface. */
  readonly name: string;
}

/** The side that named an end. */
export interface NamedBy {
  readonly whose: End["whose"];
  /** Whether the side is on this machine. Only a local process may name a namespace file. */
  readonly local: boolean;
}

/**
 * Returns the end that a KERNEL mechanism describes.
 *
 * @throws NsmError INVALID_ARGUMENT for an invalid namespace or interface name, PERMISSION_DENIED if a process
 * on another machine named the namespace, UNIMPLEMENTED for a namespace passed as a descriptor.
 */
export function endOf(mechanism: Mechanism | undefined, { whose, local }: NamedBy): End {
  if (mechanism?.type !== MechanismType.Kernel) {
    const answer = mechanism ? `mechanism ${mechanism.type}` : "no mechanism";
    throw new NsmError(
      Code.Unimplemented,
      `the ${whose} has ${answer}: this forwarder supports ${MechanismType.Kernel} only`,
    );
  }
  const url = mechanism.parameters[Parameter.inodeUrl] ?? "";
  const path = namespacePath(url, whose);
  if (!local) {
    throw new NsmError(
      Code.PermissionDenied,
      `the ${whose}'s network namespace ${url} was named from another machine: connect over a unix socket or the loopback network`,
    );
  }
  return { whose, path, name: assertLinkName(mechanism.parameters[Parameter.name] ?? "") };
}

function namespacePath(url: string, whose: End["whose"]): string {
  const allowed = "file:///proc/<pid>/ns/net and the path of a namespace file are allowed";
  const refuse = (why: string, code: Code = Code.InvalidArgument, cause?: unknown): NsmError =>
    new NsmError(code, `the ${whose}'s network namespace "${url}" ${why}: ${allowed}`, { cause });
  if (url === "") {
    throw new NsmError(Code.InvalidArgument, `the ${whose} names no network namespace: ${allowed}`);
  }
  if (url.startsWith("inode:")) {
    throw refuse("is passed as a descriptor, which this forwarder does not support", Code.Unimplemented);
  }
  let path = url;
  if (url.startsWith("file:")) {
    try {
      path = fileURLToPath(url);
    } catch (error) {
      throw refuse("is not a path", Code.InvalidArgument, error);
    }
  }
  if (!path.startsWith("/") || path.includes("\0")) throw refuse("is not a path");
  path = normalize(path);
  // In this process, the path refers to the forwarder itself.
  if (/^\/proc\/(self|thread-self)(\/|$)/.test(path)) throw refuse("refers to the forwarder's own namespace");
  return path;
}
