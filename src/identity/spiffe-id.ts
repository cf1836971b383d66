import { Code, NsmError } from "../core/index.js";

const SCHEME = "spiffe://";
const LONGEST_ID = 2048;
const LONGEST_TRUST_DOMAIN = 255;

/**
 * The name of a workload: `spiffe://example.org/nsmgr`. Two IDs are equal if their texts are equal: the
 * standard defines no normalization. Upper case in the trust domain and percent signs are errors.
 *
 * Source: SPIFFE-ID standard, section 2.
 *
 * @example
 * import { SpiffeId } from "nsm-sdk/identity";
 *
 * const id = SpiffeId.parse("spiffe://example.org/ns/default/nsc");
 * id.trustDomain; // "example.org"
 * id.path; // "/ns/default/nsc"
 * `${SpiffeId.of("example.org", "/nsmgr")}`; // "spiffe://example.org/nsmgr"
 */
export class SpiffeId {
  private constructor(
    private readonly text: string,
    readonly trustDomain: string,
    /** Empty, or `/` and segments. Empty for the ID of a trust domain itself. */
    readonly path: string,
  ) {}

  /**
   * Parses a SPIFFE ID.
   *
   * @throws NsmError INVALID_ARGUMENT with the text and the violated rule
   */
  static parse(text: string): SpiffeId {
    if (!text.startsWith(SCHEME)) throw invalid(text, `it must begin with "${SCHEME}"`);
    if (Buffer.byteLength(text) > LONGEST_ID) throw invalid(text, `at most ${LONGEST_ID} bytes are allowed`);
    const slash = text.indexOf("/", SCHEME.length);
    const end = slash === -1 ? text.length : slash;
    const trustDomain = text.slice(SCHEME.length, end);
    const path = text.slice(end);
    const broken = brokenTrustDomainRule(trustDomain) ?? brokenPathRule(path);
    if (broken !== undefined) throw invalid(text, broken);
    return new SpiffeId(text, trustDomain, path);
  }

  /**
   * Creates the ID of `path` (empty, or with its leading `/`) in `trustDomain`. Throws the errors of parse().
   */
  static of(trustDomain: string, path = ""): SpiffeId {
    if (path !== "" && !path.startsWith("/")) {
      throw invalid(`${SCHEME}${trustDomain}`, `its path ${quoted(path)} must begin with "/"`);
    }
    return SpiffeId.parse(`${SCHEME}${trustDomain}${path}`);
  }

  equals(other: SpiffeId | undefined): boolean {
    return other?.text === this.text;
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}

/** Returns the trust domain name unchanged. Throws INVALID_ARGUMENT if it is invalid. */
export function checkedTrustDomain(name: string): string {
  const broken = brokenTrustDomainRule(name);
  if (broken === undefined) return name;
  throw new NsmError(Code.InvalidArgument, `${quoted(name)} is not a trust domain: ${broken}`);
}

function brokenTrustDomainRule(name: string): string | undefined {
  if (name === "") return "the trust domain is missing";
  if (name.length > LONGEST_TRUST_DOMAIN) {
    return `a trust domain may have at most ${LONGEST_TRUST_DOMAIN} characters`;
  }
  if (!/^[a-z0-9._-]+$/.test(name)) {
    return 'a trust domain may contain lower-case letters, digits, ".", "-" and "_" only, no port and no user';
  }
  return undefined;
}

function brokenPathRule(path: string): string | undefined {
  if (path === "") return undefined;
  const segments = path.slice(1).split("/");
  if (segments.at(-1) === "") return 'the path must not end with "/"';
  if (segments.includes("")) return "the path must not have empty segments";
  if (segments.some((segment) => segment === "." || segment === "..")) {
    return 'the path must not have "." or ".." as a segment';
  }
  if (!segments.every((segment) => /^[a-zA-Z0-9._-]+$/.test(segment))) {
    return 'path segments may contain letters, digits, ".", "-" and "_" only, no escapes, query or fragment';
  }
  return undefined;
}

function invalid(text: string, rule: string): NsmError {
  return new NsmError(Code.InvalidArgument, `${quoted(text)} is not a SPIFFE id: ${rule}`);
}

// IDs come from the network. A quoted one stays on one line and is limited in length.
function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
