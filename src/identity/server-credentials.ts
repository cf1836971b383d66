import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { ServerCredentials, type Metadata, type ServerUnaryCall } from "@grpc/grpc-js";
import { Code, explain, NsmError } from "../core/index.js";
import { pemOf } from "./certificate.js";
import { peerChain, rememberShown, tlsOptions } from "./tls-context.js";
import { assertAuthorized } from "./tls-failures.js";
import { VerifiedPeers, type CallPeer } from "./verified-peers.js";
import { verifySvid } from "./verify.js";
import type { X509Source, X509Svid } from "./x509-source.js";

/** The part of a grpc-js call that all handlers receive. */
export type ServerCall = Pick<ServerUnaryCall<unknown, unknown>, "getPeer" | "metadata">;

/** The server side of mutual TLS. */
export interface ServerTls {
  /** For `bindAsync` and `createConnectionInjector`. New connections use the newest certificate. */
  readonly credentials: ServerCredentials;
  /**
   * Returns the caller, verified by the SPIFFE rules. Cached per TLS session.
   *
   * @throws NsmError UNAUTHENTICATED if the caller's certificate violates a SPIFFE rule that OpenSSL does not
   * check, CANCELLED if the connection is gone
   */
  peerOfCall(call: ServerCall): CallPeer;
}

/**
 * Mutual TLS for servers that follows the source. Clients that connect after a change see the new certificate
 * and are verified against the new bundles. Existing connections stay.
 *
 * The handshake rejects clients without a certificate or without a trusted authority. `peerOfCall` checks the
 * remaining SPIFFE rules at the first call of a session. Every handler must call it.
 */
export function serverTls(source: X509Source): ServerTls {
  const verify = verifier(source);
  const peers = new WeakMap<ServerHttp2Session, CallPeer | NsmError>();
  return {
    credentials: new RotatingServerCredentials(source),
    peerOfCall(call) {
      const session = sessionOf(call);
      let peer = peers.get(session);
      if (peer === undefined) peers.set(session, (peer = peerOfSession(session, verify)));
      if (peer instanceof NsmError) throw peer;
      return peer;
    },
  };
}

// ServerCredentials is designed to be extended: it is exported, and updateSecureContextOptions() is
// protected, not private. The alternatives are worse. grpc-js's certificate providers are experimental,
// accept no TLS version and are empty until the next tick. A new Server per certificate drops its connected
// clients.
class RotatingServerCredentials extends ServerCredentials {
  constructor(source: X509Source) {
    super({ requestCert: true, rejectUnauthorized: true }, tlsOptions(source.current()));
    source.changes.subscribe((context) => this.updateSecureContextOptions(tlsOptions(context)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function peerOfSession(
  session: ServerHttp2Session,
  verify: (socket: TLSSocket) => CallPeer,
): CallPeer | NsmError {
  if (session.destroyed) throw new NsmError(Code.Cancelled, "the connection of this call is closed");
  if (session.encrypted !== true) {
    return new NsmError(Code.Unauthenticated, "the caller was refused: it did not use TLS");
  }
  try {
    return verify(session.socket as TLSSocket);
  } catch (cause) {
    return new NsmError(Code.Unauthenticated, `the caller was refused: ${explain(cause)}`);
  }
}

/** Verifies the peer of a socket, and remembers which SVID that session showed. */
function verifier(source: X509Source): (socket: TLSSocket) => CallPeer {
  const shown = shownSvids(source);
  const verified = new VerifiedPeers();
  return (socket) => {
    const { svid, bundles } = source.current();
    const own = shown(socket) ?? svid;
    const now = Date.now();
    assertAuthorized(socket, bundles, now);
    // getPeerX509Certificate() cannot be used: it removes the certificate chain from the session.
    const known = verified.get(own, socket.getPeerCertificate().fingerprint256, bundles, now);
    if (known) return known;

    const chain = peerChain(socket.getPeerCertificate(true));
    const id = verifySvid(chain, bundles, now);
    const certificate = chain[0]!;
    const peer = { certificate, id, pem: pemOf(certificate) };
    rememberShown(certificate, own);
    verified.set(own, peer, chain, bundles, now);
    return peer;
  };
}

/** Finds which of the source's unexpired SVIDs a session showed. */
function shownSvids(source: X509Source): (socket: TLSSocket) => X509Svid | undefined {
  let held: X509Svid[] = [source.current().svid];
  source.changes.subscribe(({ svid }) => {
    const now = Date.now();
    held = [svid, ...held.filter((old) => old !== svid && old.expires.getTime() > now)];
  });
  return (socket) => {
    // Usually there is only one. Asking OpenSSL would cost more than all the rest.
    if (held.length === 1) return held[0];
    const { raw } = (socket.getCertificate() ?? {}) as Partial<PeerCertificate>;
    return raw && held.find(({ certificates }) => certificates[0]!.raw.equals(raw));
  };
}

interface CallInternals {
  readonly call?: CallInternals;
  readonly nextCall?: CallInternals;
  readonly stream?: ServerHttp2Stream;
  readonly metadata?: Metadata;
}

/**
 * The HTTP/2 stream of a call. It is a private field of grpc-js's innermost call object, so the version of
 * grpc-js is pinned.
 */
export function streamOf(call: object): ServerHttp2Stream | undefined {
  return innermost(call).stream;
}

/** The size of a call's headers, in bytes, as far as grpc-js keeps them. */
export function headerBytes(call: object): number {
  let bytes = 0;
  for (const [name, values] of Object.entries(innermost(call).metadata?.toHttp2Headers() ?? {}))
    for (const value of [values].flat()) bytes += name.length + String(value).length;
  return bytes;
}

function innermost(call: object): CallInternals {
  let inner = call as CallInternals;
  for (let next = inner.call ?? inner.nextCall; next; next = inner.nextCall) inner = next;
  return inner;
}

/**
 * The HTTP/2 session of a call. Caller identities are cached by it. grpc-js offers only the certificate
 * (`getAuthContext`) and reads it from OpenSSL for each call, which halves the call rate.
 */
function sessionOf(call: ServerCall): ServerHttp2Session {
  const stream = streamOf(call);
  if (stream === undefined) {
    throw new NsmError(Code.Internal, "this version of grpc-js does not expose the connection of a call");
  }
  const session = stream.session as ServerHttp2Session | undefined;
  if (session === undefined) throw new NsmError(Code.Cancelled, "the connection of this call is closed");
  return session;
}
