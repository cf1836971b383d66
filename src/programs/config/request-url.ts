import { Code, NsmError } from "../../core/index.js";
import { assertLinkName } from "../../linux/index.js";
import { Mechanism, MechanismClass, Parameter } from "../../api/index.js";

/** What a client asks for, as one URL says it. */
export interface RequestedService {
  readonly networkService: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly mechanism: Mechanism;
}

/**
 * Reads `mechanism://service[@domain]/interface?label=value`. The scheme is the mechanism's type; labels that
 * occur several times are joined with commas.
 *
 * @throws NsmError INVALID_ARGUMENT naming the URL and what is wrong with it.
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
    throw new NsmError(Code.InvalidArgument, refuse("is no URL").message, { cause: error });
  }
  const type = url.protocol.slice(0, -1).toUpperCase();
  if (type !== "KERNEL") throw refuse(`asks for the mechanism ${type}, which this client does not have`);
  if (!url.host) throw refuse("names no service");
  const path = url.pathname.slice(1);
  if (path.includes("/")) throw refuse(`has the path "${path}" where one interface name belongs`);
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
    throw new NsmError(Code.InvalidArgument, refuse("names no usable interface").message, { cause: error });
  }
}

/**
 * Reads further requests after those that were given before.
 *
 * @throws NsmError INVALID_ARGUMENT when two of them name the same interface
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
    throw new NsmError(Code.InvalidArgument, refuse(`has the broken escape "${text}"`).message, { cause });
  }
}
