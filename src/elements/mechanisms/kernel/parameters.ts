import { createHash } from "node:crypto";
import { MAX_INTERFACE_NAME, Parameter, type Connection, type Mechanism } from "../../../api/index.js";
import { assertLinkName } from "../../../linux/rtnetlink/link-name.js";

/** The network namespace of an interface, and its name. */
export interface KernelParameters {
  /** URL of the network namespace: `file:///proc/1234/ns/net`. */
  readonly inodeUrl: string;
  /** Name of the interface if the request has none. Default: a name derived from the network service. */
  readonly interfaceName?: string | undefined;
}

/**
 * Checks the parameters once and returns a function that writes them into a KERNEL mechanism. An existing
 * interface name is kept.
 */
export function kernelParameters({
  inodeUrl,
  interfaceName,
}: KernelParameters): (mechanism: Mechanism, connection: Connection) => Mechanism {
  if (interfaceName !== undefined) assertLinkName(interfaceName);

  return (mechanism, connection) => {
    const asked = mechanism.parameters[Parameter.name];
    if (asked) assertLinkName(asked);
    const name = asked || (interfaceName ?? nameFor(connection));
    return {
      ...mechanism,
      parameters: { ...mechanism.parameters, [Parameter.inodeUrl]: inodeUrl, [Parameter.name]: name },
    };
  };
}

const SERVICE_PART = 10;
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/**
 * Derives a name such as `firewall-x3Fq9a`: the service name, and as many characters derived from the
 * connection id as fit. A healed connection therefore gets the same interface name.
 */
function nameFor({ id, networkService }: Connection): string {
  const service = networkService.replace(/[^0-9A-Za-z._-]/g, "-").slice(0, SERVICE_PART);
  const digest = createHash("sha256").update(id).digest();
  const length = MAX_INTERFACE_NAME - service.length - 1;
  const rest = Array.from({ length }, (_, i) => alphabet[digest.readUInt16BE(2 * i) % alphabet.length]);
  return `${service}-${rest.join("")}`;
}
