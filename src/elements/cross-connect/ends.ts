import { MechanismType, Parameter, type Mechanism } from "../../api/index.js";
import { Code, codeOf, explain, NsmError } from "../../core/index.js";
import { assertLinkName } from "../../linux/rtnetlink/link-name.js";
import type { RequestFiles } from "../request-files/index.js";
import type { Kernel, Namespace } from "./kernel.js";

/** The location of one side's interface, as requested by that side. */
export interface End {
  readonly whose: "client" | "endpoint";
  /** Name of the interface. */
  readonly name: string;
  /** The namespace, open until the end of the Request. */
  readonly namespace: Namespace;
  /** A path of the namespace that is valid for longer, if there is one. */
  readonly path: string | undefined;
}

/**
 * Opens the end that a KERNEL mechanism describes. The namespace must have come as a descriptor: a path or an
 * inode number is only text, which any process can write.
 *
 * @throws NsmError INVALID_ARGUMENT for a missing namespace, a file that is not a network namespace, or an invalid
 * interface name; PERMISSION_DENIED if no descriptor has come; UNIMPLEMENTED for another mechanism
 */
export function openEnd(
  kernel: Kernel,
  whose: End["whose"],
  mechanism: Mechanism | undefined,
  files: Pick<RequestFiles, "received"> | undefined,
): End {
  if (mechanism?.type !== MechanismType.Kernel) {
    const answer = mechanism ? `mechanism ${mechanism.type}` : "no mechanism";
    throw new NsmError(
      Code.Unimplemented,
      `the ${whose} has ${answer}: this forwarder supports ${MechanismType.Kernel} only`,
    );
  }
  const name = assertLinkName(mechanism.parameters[Parameter.name] ?? "");
  const url = mechanism.parameters[Parameter.inodeUrl] ?? "";
  if (url === "") {
    throw new NsmError(
      Code.InvalidArgument,
      `the ${whose} names no network namespace: expected inode://<device>/<inode> and a descriptor`,
    );
  }
  const file = files?.received(url);
  if (!file) {
    throw new NsmError(
      Code.PermissionDenied,
      `no descriptor came for the ${whose}'s network namespace "${url}": every hop must use a unix socket, and the ${whose} must pass a descriptor`,
    );
  }
  try {
    return { whose, name, namespace: kernel.open(file.path), path: file.lastingPath };
  } catch (cause) {
    const text = `cannot open the ${whose}'s network namespace "${url}": ${explain(cause)}`;
    throw new NsmError(codeOf(cause), text, { cause });
  }
}
