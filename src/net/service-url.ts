import { MAX_INTERFACE_NAME, Mechanism, MechanismClass, Parameter } from "../api/index.js";
import { Code, NsmError } from "../core/index.js";

/** What a client asks for in one line. */
export interface ServiceUrl {
  /** `service`, or `service@domain`. */
  readonly networkService: string;
  readonly mechanism: Mechanism;
  readonly labels: { readonly [key: string]: string };
}

/**
 * Reads `mechanism://service[@domain][/interface][?label=value&…]`. A label given more than once has its values
 * joined by commas.
 *
 * @throws NsmError INVALID_ARGUMENT naming the text and what is wrong with it.
 *
 * @example
 * parseServiceUrl("kernel://firewall@cluster.two/nsm-1?app=web").networkService; // "firewall@cluster.two"
 */
export function parseServiceUrl(text: string): ServiceUrl {
  const refuse = (why: string): NsmError =>
    new NsmError(
      Code.InvalidArgument,
      `"${text}" ${why}: kernel://SERVICE[@DOMAIN][/INTERFACE][?LABEL=VALUE] is allowed`,
    );
  if (!URL.canParse(text)) throw refuse("is no URL");
  const url = new URL(text);
  if (!url.hostname) throw refuse("names no network service");
  if (url.port || url.password || url.hash) throw refuse("has a port, password or fragment");

  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw refuse(`has the broken escape "${part}"`);
    }
  };
  const name = decode(url.pathname.slice(url.pathname.lastIndexOf("/") + 1));
  if (Buffer.byteLength(name) > MAX_INTERFACE_NAME) {
    throw refuse(`has the interface name "${name}", which is longer than ${MAX_INTERFACE_NAME} bytes`);
  }
  const labels = new Map<string, string>();
  for (const [key, value] of url.searchParams) {
    const earlier = labels.get(key);
    labels.set(key, earlier === undefined ? value : `${earlier},${value}`);
  }
  const host = decode(url.hostname);
  return {
    networkService: url.username ? `${decode(url.username)}@${host}` : host,
    mechanism: Mechanism.create({
      cls: MechanismClass.Local,
      type: url.protocol.slice(0, -1).toUpperCase(),
      parameters: name ? { [Parameter.name]: name } : {},
    }),
    labels: Object.fromEntries(labels),
  };
}
