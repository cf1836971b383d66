import { normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { MechanismType, Parameter, type Mechanism } from "../../api/index.js";
import { Code, NsmError } from "../../core/index.js";
import { assertLinkName } from "../../linux/index.js";

/** Where one side wants its interface, as it says itself. */
export interface End {
  readonly whose: "client" | "endpoint";
  /** Of the namespace file. */
  readonly path: string;
  /** Of the interface. */
  readonly name: string;
}

/** Who named an end. */
export interface NamedBy {
  readonly whose: End["whose"];
  /** Only somebody on this machine may point at its files. */
  readonly local: boolean;
}

/**
 * The end that a KERNEL mechanism describes.
 *
 * @throws NsmError INVALID_ARGUMENT for a namespace or interface that cannot be meant, PERMISSION_DENIED when it
 * was named from another machine, UNIMPLEMENTED for a namespace that comes as a descriptor.
 */
export function endOf(mechanism: Mechanism | undefined, { whose, local }: NamedBy): End {
  if (mechanism?.type !== MechanismType.Kernel) {
    const answer = mechanism ? `mechanism ${mechanism.type}` : "no mechanism";
    throw new NsmError(
      Code.Unimplemented,
      `the ${whose} has ${answer}, this forwarder joins ${MechanismType.Kernel} only`,
    );
  }
  const url = mechanism.parameters[Parameter.inodeUrl] ?? "";
  const path = namespacePath(url, whose);
  if (!local) {
    throw new NsmError(
      Code.PermissionDenied,
      `the ${whose}'s network namespace ${url} was named from elsewhere: only over a unix socket or the loopback network may one be named`,
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
    throw refuse("comes as a descriptor, which this forwarder does not take", Code.Unimplemented);
  }
  let path = url;
  if (url.startsWith("file:")) {
    try {
      path = fileURLToPath(url);
    } catch (error) {
      throw refuse("is no path", Code.InvalidArgument, error);
    }
  }
  if (!path.startsWith("/") || path.includes("\0")) throw refuse("is no path");
  path = normalize(path);
  // Read here it would be the forwarder, whatever process wrote it.
  if (/^\/proc\/(self|thread-self)(\/|$)/.test(path)) throw refuse("would be that of the forwarder");
  return path;
}
