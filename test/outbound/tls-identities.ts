import {
  authority,
  mutableSource,
  parseCertificates,
  spiffeIdentity,
  type Authority,
  type MutableSource,
  type Identity,
} from "../../src/identity/index.js";
import { contextOf } from "../identity/support.js";

let shared: Promise<Authority> | undefined;

/** The one authority of these tests: making keys takes time. */
export function testAuthority(): Promise<Authority> {
  return (shared ??= authority({ trustDomain: "example.org" }));
}

/** An identity that can be given a new certificate. */
export interface Renewable {
  readonly identity: Identity;
  readonly source: MutableSource;
  renew(options?: { lifetimeMs?: number }): Promise<void>;
  /** Changes the bundle of the trust domain, and not the certificate. */
  trust(authorities: readonly string[]): void;
}

/** A process `spiffe://example.org/<name>`. */
export async function renewable(name: string, options: { lifetimeMs?: number } = {}): Promise<Renewable> {
  const ca = await testAuthority();
  const issue = async (again: { lifetimeMs?: number }) =>
    contextOf(await ca.issue({ path: `/${name}`, ...again }));
  const source = mutableSource(await issue(options));
  return {
    identity: spiffeIdentity(source),
    source,
    renew: async (again = {}) => source.update(await issue(again)),
    trust(authorities) {
      const { svid } = source.current();
      source.update({ svid, bundles: new Map([["example.org", parseCertificates(authorities)]]) });
    },
  };
}

/** Identities for a kit of remotes. */
export function tlsIdentities(): { identityOf(name: string): Promise<Identity> } {
  return { identityOf: async (name) => (await renewable(name)).identity };
}
