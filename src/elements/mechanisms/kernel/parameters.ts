import { createHash } from "node:crypto";
import { MAX_INTERFACE_NAME, Parameter, type Connection, type Mechanism } from "../../../api/index.js";
import { assertLinkName } from "../../../linux/index.js";

/** Where an interface goes and what it is called. */
export interface KernelParameters {
  /** The network namespace as a URL: `file:///proc/1234/ns/net`. */
  readonly inodeUrl: string;
  /** The interface's name if the request gives none. Default: a name made from the network service's. */
  readonly interfaceName?: string | undefined;
}

/**
 * Checks the parameters once and gives the function that writes them into a KERNEL mechanism. A name that stands
 * there stays.
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
 * `firewall-x3Fq9a`: the service's name and as many characters that follow from the connection's id as there is
 * room for, so that a connection that is healed gets an interface of the same name.
 */
function nameFor({ id, networkService }: Connection): string {
  const service = networkService.replace(/[^0-9A-Za-z._-]/g, "-").slice(0, SERVICE_PART);
  const digest = createHash("sha256").update(id).digest();
  const length = MAX_INTERFACE_NAME - service.length - 1;
  const rest = Array.from({ length }, (_, i) => alphabet[digest.readUInt16BE(2 * i) % alphabet.length]);
  return `${service}-${rest.join("")}`;
}
