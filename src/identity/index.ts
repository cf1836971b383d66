/**
 * The identity of a process: SPIFFE IDs, certificates and their sources, mutual TLS for both ends of gRPC,
 * and the tokens that hops show to each other.
 *
 * @packageDocumentation
 */
export {
  authority,
  type Authority,
  type AuthorityOptions,
  type IssueOptions,
  type KeyKind,
  readAuthority,
  type RootAuthority,
} from "./authority.js";
export { parseCertificates, type CertificateInput } from "./certificate.js";
export { type OnHandshakeFailure, type OnPeer } from "./channel-credentials.js";
export { filesSource, type FilesSourceOptions } from "./files-source.js";
export {
  fileIdentity,
  insecureIdentity,
  spiffeIdentity,
  type Identity,
  type SpiffeIdentityOptions,
} from "./identity.js";
export { insecureTokens, type InsecureTokensOptions } from "./insecure-tokens.js";
export type { IssuedSvid } from "./issued-svid.js";
export { type ServerCall } from "./server-credentials.js";
export { SpiffeId } from "./spiffe-id.js";
export { svidTokens, type SvidTokensOptions } from "./svid-tokens.js";
export type { CallPeer } from "./verified-peers.js";
export { parseToken, type TokenClaims, type TokenGenerator } from "./token.js";
export { verifySvid, type Bundles } from "./verify.js";
export { verifyToken } from "./verify-token.js";
export type { WorkloadApiSourceOptions } from "./follow-workload-api.js";
export { workloadApiSource } from "./workload-api-source.js";
export type { OfferedSvid } from "./workload-response.js";
export {
  mutableSource,
  x509Svid,
  type MutableSource,
  type X509Context,
  type X509Source,
  type X509Svid,
} from "./x509-source.js";
