import { Code, NsmError } from "../../core/index.js";
import { assertLinkName } from "../../linux/rtnetlink/link-name.js";
import { Mechanism, MechanismClass, Parameter } from "../../api/index.js";

/** A requested service, as parsed from one URL. */
export interface RequestedService {
  readonly networkService: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly mechanism: Mechanism;
}

/**
 * Parses `mechanism://service[@domain]/interface?label=value`. The scheme is the mechanism's type. Values of
 * a repeated label are joined with commas.
 *
 * @throws NsmError INVALID_ARGUMENT with the URL and its defect
 */
export function requestUrl(text: string): RequestedService {
  const refuse = (why: string): NsmError =>
    new NsmError(
      Code.InvalidArgument,
      `"${text}" ${why}. Allowed is kernel://SERVICE[@DOMAIN]/INTERFACE?label=value.`,
    );
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new NsmError(Code.InvalidArgument, refuse("is not a URL").message, { cause: error });
  }
  const type = url.protocol.slice(0, -1).toUpperCase();
  if (type !== "KERNEL") throw refuse(`requests the mechanism ${type}, which this client does not support`);
  if (!url.host) throw refuse("has no service");
  const path = url.pathname.slice(1);
  if (path.includes("/")) throw refuse(`has the path "${path}": expected one interface name`);
  const name = decoded(path, refuse);
  if (name !== "") assertName(name, refuse);
  const labels = Object.fromEntries(
    [...new Set(url.searchParams.keys())].map((key) => [key, url.searchParams.getAll(key).join(",")]),
  );
  return {
    networkService: url.username ? `${decoded(url.username, refuse)}@${url.host}` : url.host,
    labels,
    mechanism: Mechanism.create({
      cls: MechanismClass.Local,
      type,
      parameters: name ? { [Parameter.name]: name } : {},
    }),
  };
}

function assertName(name: string, refuse: (why: string) => NsmError): void {
  try {
    assertLinkName(name);
  } catch (error) {
    throw new NsmError(Code.InvalidArgument, refuse("has no valid interface name").message, { cause: error });
  }
}

/**
 * Parses further requests and appends them to the earlier ones.
 *
 * @throws NsmError INVALID_ARGUMENT if two requests use the same interface name
 */
export function requestUrls(
  texts: readonly string[],
  before: readonly RequestedService[] = [],
): readonly RequestedService[] {
  const all = [...before];
  for (const text of texts) {
    const requested = requestUrl(text);
    const name = requested.mechanism.parameters[Parameter.name];
    if (name !== undefined && all.some(({ mechanism }) => mechanism.parameters[Parameter.name] === name)) {
      throw new NsmError(
        Code.InvalidArgument,
        `two requests name the interface "${name}"; each needs its own`,
      );
    }
    all.push(requested);
  }
  return all;
}

function decoded(text: string, refuse: (why: string) => NsmError): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new NsmError(Code.InvalidArgument, refuse(`has the invalid escape "${text}"`).message, { cause });
  }
}
