import { Code, NsmError } from "../core/index.js";

/** One DER element: its tag, and the position of its content. */
interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Start of the next sibling. */
  readonly end: number;
}

const SEQUENCE = 0x30;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
/** `[3] EXPLICIT Extensions` of a TBSCertificate. */
const EXTENSIONS = 0xa3;
/** `uniformResourceIdentifier [6] IA5String` of a GeneralName. */
const URI = 0x86;

const KEY_USAGE = "551d0f";
const SUBJECT_ALT_NAME = "551d11";

/**
 * The extensions that SPIFFE needs and node:crypto lacks. Its `keyUsage` is the *extended* key usage, and its
 * text of alternative names must be unescaped before URIs can be counted.
 */
export interface SpiffeExtensions {
  /** URIs of the subject alternative name, in order. */
  readonly uris: readonly string[];
  readonly certSign: boolean;
  readonly crlSign: boolean;
}

/**
 * Reads the SPIFFE-related extensions of a certificate that OpenSSL has already parsed.
 *
 * Source: RFC 5280, sections 4.1, 4.2.1.3 and 4.2.1.6.
 *
 * @throws NsmError INVALID_ARGUMENT if an extension is truncated or appears twice
 */
export function spiffeExtensions(certificate: Buffer): SpiffeExtensions {
  const [tbs] = children(only(certificate).content);
  const wrapped = children(tbs!.content).find(({ tag }) => tag === EXTENSIONS);
  const found = new Map<string, Buffer>();
  for (const extension of wrapped ? children(only(wrapped.content).content) : []) {
    const parts = children(extension.content);
    const id = parts.find(({ tag }) => tag === OBJECT_IDENTIFIER)?.content.toString("hex");
    const value = parts.find(({ tag }) => tag === OCTET_STRING)?.content;
    if (id === undefined || value === undefined) throw malformed("an extension without id or value");
    if (found.has(id)) throw malformed("an extension that appears twice");
    found.set(id, value);
  }
  const alternatives = found.get(SUBJECT_ALT_NAME);
  const usage = keyUsageBits(found.get(KEY_USAGE));
  return {
    uris: alternatives ? uris(alternatives) : [],
    certSign: (usage & 0x04) !== 0,
    crlSign: (usage & 0x02) !== 0,
  };
}

/**
 * Splits concatenated DER elements, such as certificates of a Workload API.
 *
 * @throws NsmError INVALID_ARGUMENT if an element is truncated
 */
export function derElements(bytes: Buffer): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const { end } = elementAt(bytes, at);
    all.push(bytes.subarray(at, end));
    at = end;
  }
  return all;
}

function uris(value: Buffer): string[] {
  const names = only(value);
  if (names.tag !== SEQUENCE) throw malformed("alternative names that are not a sequence");
  return children(names.content)
    .filter(({ tag }) => tag === URI)
    .map(({ content }) => content.toString("latin1"));
}

// Bit 0 (digitalSignature) is the highest bit of the first byte; keyCertSign is bit 5, cRLSign bit 6.
function keyUsageBits(value: Buffer | undefined): number {
  if (value === undefined) return 0;
  const bits = only(value);
  if (bits.tag !== BIT_STRING) throw malformed("a key usage that is not a bit string");
  return bits.content[1] ?? 0;
}

function only(bytes: Buffer): Element {
  const element = elementAt(bytes, 0);
  if (element.end !== bytes.length) throw malformed("bytes after its end");
  return element;
}

function children(bytes: Buffer): Element[] {
  const all: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const element = elementAt(bytes, at);
    all.push(element);
    at = element.end;
  }
  return all;
}

function elementAt(bytes: Buffer, at: number): Element {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw malformed("a truncated element");
  // From 0x80 on, the low bits give the number of length bytes. No certificate needs more than four.
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4 || first === 0x80 || at + 2 + lengthBytes > bytes.length) {
    throw malformed("an element of invalid length");
  }
  const start = at + 2 + lengthBytes;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  if (start + length > bytes.length) throw malformed("a truncated element");
  return { tag, content: bytes.subarray(start, start + length), end: start + length };
}

function malformed(what: string): NsmError {
  return new NsmError(Code.InvalidArgument, `the certificate is malformed: it has ${what}`);
}
