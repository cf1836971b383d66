import { credentials, ServerCredentials, type ChannelCredentials } from "@grpc/grpc-js";
import { Subject, type Observable } from "rxjs";
import { channelCredentials, type OnHandshakeFailure, type OnPeer } from "./channel-credentials.js";
import { filesSource, type FilesSourceOptions } from "./files-source.js";
import { insecureTokens, type InsecureTokensOptions } from "./insecure-tokens.js";
import { renewals } from "./renewals.js";
import { serverTls, type ServerCall } from "./server-credentials.js";
import type { SpiffeId } from "./spiffe-id.js";
import { svidTokens, type SvidTokensOptions } from "./svid-tokens.js";
import { tlsAcceptor, type TlsAcceptor, type TlsAcceptorEvents } from "./tls-acceptor.js";
import type { TokenGenerator } from "./token.js";
import type { CallPeer } from "./verified-peers.js";
import type { X509Source } from "./x509-source.js";

/** The identity of a process towards its peers: what inbound and outbound need for TLS and tokens. */
export interface Identity {
  /** The current SPIFFE ID of the process. Undefined without TLS. */
  readonly id: SpiffeId | undefined;
  /** Creates credentials for one channel. Each connection uses the newest certificate and bundles. */
  channelCredentials(onPeer?: OnPeer, onFailure?: OnHandshakeFailure): ChannelCredentials;
  /**
   * Creates the TLS side of a server of this SDK. It follows changes. Undefined without TLS.
   *
   * @internal
   */
  tlsAcceptor(events: TlsAcceptorEvents): TlsAcceptor | undefined;
  /** Creates credentials for other gRPC servers. They follow changes. */
  serverCredentials(): ServerCredentials;
  /**
   * Returns the verified caller. Undefined without TLS.
   *
   * @throws NsmError UNAUTHENTICATED if the caller's certificate violates a SPIFFE rule
   */
  peerOfCall(call: ServerCall): CallPeer | undefined;
  readonly tokens: TokenGenerator;
  /**
   * Emits when open connections must be replaced: the own certificate changed, or a bundle lost an authority that
   * is still valid. Retire channels then, and ask clients to reconnect.
   */
  readonly changes: Observable<void>;
  /** Completes `changes` and stops watching files and sockets. Open connections stay. */
  close(): void;
}

/** Options of the tokens. */
export type SpiffeIdentityOptions = Omit<SvidTokensOptions, "source">;

/**
 * Creates an identity from any source of certificates: mutual TLS and signed tokens. It owns the source and
 * closes it.
 *
 * @example
 * import { filesSource, spiffeIdentity } from "nsm-sdk/identity";
 * import { grpcServer } from "nsm-sdk/inbound";
 *
 * const identity = spiffeIdentity(await filesSource("/etc/nsm/identity"));
 * const server = await grpcServer({ identity, listenOn: ["tcp://:5001"], services: {} });
 */
export function spiffeIdentity(source: X509Source, options: SpiffeIdentityOptions = {}): Identity {
  const server = serverTls(source);
  return {
    get id() {
      return source.current().svid.id;
    },
    channelCredentials: (onPeer, onFailure) => channelCredentials(source, onPeer, onFailure),
    tlsAcceptor: (events) => tlsAcceptor(source, events),
    serverCredentials: () => server.credentials,
    peerOfCall: (call) => server.peerOfCall(call),
    tokens: svidTokens({ source, ...options }),
    changes: renewals(source),
    close: () => source.close(),
  };
}

/** Creates an identity from a directory of PEM files. See filesSource() for files and errors. */
export async function fileIdentity(
  directory: string,
  options: SpiffeIdentityOptions & FilesSourceOptions = {},
): Promise<Identity> {
  return spiffeIdentity(await filesSource(directory, options), options);
}

/**
 * Creates an identity without TLS and without proof. Every process that can reach the socket is trusted. Use
 * it for tests, and on machines where no other process can connect.
 */
export function insecureIdentity(options: InsecureTokensOptions = {}): Identity {
  const changes = new Subject<void>();
  return {
    id: undefined,
    channelCredentials: () => credentials.createInsecure(),
    tlsAcceptor: () => undefined,
    serverCredentials: () => ServerCredentials.createInsecure(),
    peerOfCall: () => undefined,
    tokens: insecureTokens(options),
    changes: changes.asObservable(),
    close: () => changes.complete(),
  };
}
