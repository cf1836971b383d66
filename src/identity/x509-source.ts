import type { KeyObject, X509Certificate } from "node:crypto";
import { Subject, type Observable } from "rxjs";
import { Code, NsmError } from "../core/index.js";
import {
  parseCertificates,
  publicKeyOf,
  spiffeIdOf,
  validUntil,
  type CertificateInput,
} from "./certificate.js";
import type { SpiffeId } from "./spiffe-id.js";
import type { Bundles } from "./verify.js";

/** The X.509 identity document of a process: its SPIFFE ID, certificates and private key. */
export interface X509Svid {
  readonly id: SpiffeId;
  /** Leaf first, then the intermediates that peers may need. */
  readonly certificates: readonly X509Certificate[];
  readonly privateKey: KeyObject;
  /** Expiry of the leaf. */
  readonly expires: Date;
}

/**
 * Creates an SVID from certificates (in any form, leaf first) and their key.
 *
 * @throws NsmError INVALID_ARGUMENT if a certificate cannot be parsed or has no SPIFFE ID, or if the key does
 * not match or is not ECDSA P-256. Tokens are signed with ES256, and peers verify no other algorithm.
 */
export function x509Svid(
  certificates: CertificateInput | readonly CertificateInput[],
  privateKey: KeyObject,
): X509Svid {
  const parsed = parseCertificates(certificates);
  const [leaf] = parsed;
  if (leaf === undefined) throw new NsmError(Code.InvalidArgument, "an SVID needs at least one certificate");
  const id = spiffeIdOf(leaf);
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new NsmError(Code.InvalidArgument, `the private key does not match the certificate of ${id}`);
  }
  const kind = kindOfKey(publicKeyOf(leaf));
  if (kind !== "ECDSA P-256") {
    throw new NsmError(
      Code.InvalidArgument,
      `the key of ${id} is ${kind}; it must be ECDSA P-256, because tokens are signed with ES256`,
    );
  }
  return { id, certificates: parsed, privateKey, expires: new Date(validUntil(leaf)) };
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

function kindOfKey(key: KeyObject): string {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  if (namedCurve !== undefined) return `ECDSA ${curves[namedCurve] ?? namedCurve}`;
  const name = key.asymmetricKeyType?.toUpperCase() ?? "of an unknown kind";
  return modulusLength === undefined ? name : `${name} ${modulusLength}`;
}

/** The SVID of a process and the bundles it trusts, at one moment. The object is replaced, never changed. */
export interface X509Context {
  readonly svid: X509Svid;
  readonly bundles: Bundles;
}

/** The source of an identity: files, a Workload API, or an own authority. */
export interface X509Source {
  /** Returns the same object until something changes, so the object identifies a generation. */
  current(): X509Context;
  /** Emits after each replacement of current(). Completes on close(). */
  readonly changes: Observable<X509Context>;
  close(): void;
}

/** A source whose owner replaces the contents. Other sources build on it. */
export interface MutableSource extends X509Source {
  update(next: X509Context): void;
}

/**
 * Creates a source from contents that the program already has: an identity from another place, or one for a
 * test.
 *
 * @example
 * import { mutableSource } from "nsm-sdk/identity";
 *
 * const held = mutableSource(source.current());
 * held.changes.subscribe(({ svid }) => console.log(`now ${svid.id} until ${svid.expires}`));
 * held.update(source.current());
 */
export function mutableSource(first: X509Context): MutableSource {
  let held = first;
  const changes = new Subject<X509Context>();
  return {
    current: () => held,
    changes: changes.asObservable(),
    update(next) {
      if (next === held) return;
      held = next;
      changes.next(next);
    },
    close: () => changes.complete(),
  };
}
