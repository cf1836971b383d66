import { credentials, ServerCredentials, type ChannelCredentials } from "@grpc/grpc-js";
import { map, Subject, type Observable } from "rxjs";
import { channelCredentials, type OnHandshakeFailure, type OnPeer } from "./channel-credentials.js";
import { filesSource, type FilesSourceOptions } from "./files-source.js";
import { insecureTokens, type InsecureTokensOptions } from "./insecure-tokens.js";
import { serverTls, type ServerCall } from "./server-credentials.js";
import type { SpiffeId } from "./spiffe-id.js";
import { svidTokens, type SvidTokensOptions } from "./svid-tokens.js";
import { tlsAcceptor, type TlsAcceptor, type TlsAcceptorEvents } from "./tls-acceptor.js";
import type { TokenGenerator } from "./token.js";
import type { CallPeer } from "./verified-peers.js";
import type { X509Source } from "./x509-source.js";

/** Who a process is towards its peers: what inbound and outbound need to speak TLS and show tokens. */
export interface Identity {
  /** Its own id as it is now; none without TLS. */
  readonly id: SpiffeId | undefined;
  /** For one connection, or a channel of them, with the certificate of now: connect anew after each of `changes`. */
  channelCredentials(onPeer?: OnPeer, onFailure?: OnHandshakeFailure): ChannelCredentials;
  /** TLS for servers, which follows the changes by itself; undefined without TLS. */
  tlsAcceptor(events: TlsAcceptorEvents): TlsAcceptor | undefined;
  /** For gRPC servers of your own; they follow the changes by themselves. */
  serverCredentials(): ServerCredentials;
  /**
   * The verified caller; undefined without TLS.
   *
   * @throws NsmError UNAUTHENTICATED when its certificate breaks a rule of SPIFFE
   */
  peerOfCall(call: ServerCall): CallPeer | undefined;
  readonly tokens: TokenGenerator;
  /** The certificate or the bundles are new: retire channels, tell connected clients to come again. */
  readonly changes: Observable<void>;
  /** Ends `changes` and whatever follows files or sockets; what is connected stays so. */
  close(): void;
}

/** How tokens are made of a source's certificates. */
export type SpiffeIdentityOptions = Omit<SvidTokensOptions, "source">;

/**
 * An identity of certificates from any source: mutual TLS and signed tokens. It owns the source and closes it.
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
    changes: source.changes.pipe(map(() => undefined)),
    close: () => source.close(),
  };
}

/** The identity in a directory of ca.pem, svid.pem and key.pem; see filesSource() for files and errors. */
export async function fileIdentity(
  directory: string,
  options: SpiffeIdentityOptions & FilesSourceOptions = {},
): Promise<Identity> {
  return spiffeIdentity(await filesSource(directory, options), options);
}

/**
 * No identity: neither TLS nor proof. Whoever reaches the socket is believed, so it is for tests, and for
 * machines where nobody else does.
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
