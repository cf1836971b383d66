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
export {
  parseCertificates,
  pemOf,
  publicKeyOf,
  spiffeIdOf,
  validFrom,
  validUntil,
  type CertificateInput,
} from "./certificate.js";
export { channelCredentials, type OnHandshakeFailure, type OnPeer } from "./channel-credentials.js";
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
export { serverTls, type ServerCall, type ServerTls } from "./server-credentials.js";
export { SpiffeId } from "./spiffe-id.js";
export { DEFAULT_TOKEN_LIFETIME_MS, svidTokens, type SvidTokensOptions } from "./svid-tokens.js";
export type { TlsAcceptor, TlsAcceptorEvents } from "./tls-acceptor.js";
export type { CallPeer } from "./verified-peers.js";
export { assertTokenOfPeer, subjectOf } from "./token-subject.js";
export { parseToken, type TokenClaims, type TokenGenerator } from "./token.js";
export {
  TOKEN_EXPIRES_HEADER,
  TOKEN_HEADER,
  tokenFromHeaders,
  tokenHeaders,
  type HeaderValues,
} from "./token-headers.js";
export { verifySvid, type Bundles } from "./verify.js";
export { verifyToken } from "./verify-token.js";
export {
  mutableSource,
  x509Svid,
  type MutableSource,
  type X509Context,
  type X509Source,
  type X509Svid,
} from "./x509-source.js";
