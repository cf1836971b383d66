import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { CallCredentials, ChannelCredentials, credentials } from "@grpc/grpc-js";
import { Code, explain, NsmError } from "../core/index.js";
import type { SpiffeId } from "./spiffe-id.js";
import { peerChain, rememberShown, secureContextOf } from "./tls-context.js";
import { assertAuthorized, tlsFailure } from "./tls-failures.js";
import { verifySvid } from "./verify.js";
import type { X509Source } from "./x509-source.js";

/**
 * Receives the server's verified certificate at each handshake of a channel, before a call on that connection
 * needs its token. Each TLS session has its own object: pass it on unchanged in `Peer.certificate`.
 */
export type OnPeer = (certificate: X509Certificate, id: SpiffeId) => void;

/** Receives the reason of a failed handshake. Calls that waited for it fail with the same message. */
export type OnHandshakeFailure = (failure: NsmError) => void;

/**
 * Mutual TLS for one channel. Each connection uses the identity that is current when it is made; an open connection
 * keeps its certificate. Any SPIFFE ID of a trusted domain is accepted as server, and host names are not checked.
 *
 * Credentials of the same generation share one SecureContext but no connection: channels from two calls never
 * share a subchannel. Set `grpc.ssl_target_name_override` (for example to `"localhost"`) for channels to IP
 * addresses. Otherwise grpc-js sends the address as server name, which RFC 6066 forbids and Node warns about.
 */
export function channelCredentials(
  source: X509Source,
  onPeer?: OnPeer,
  onFailure?: OnHandshakeFailure,
): ChannelCredentials {
  const begin = (): Handshake => {
    const context = source.current();
    return {
      credentials: credentials.createFromSecureContext(secureContextOf(context), {
        // Verified below, where the reason of a rejection is available.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      }),
      verify(socket) {
        const { bundles } = source.current();
        const now = Date.now();
        assertAuthorized(socket, bundles, now);
        const chain = peerChain(socket.getPeerCertificate(true));
        const id = verifySvid(chain, bundles, now);
        const certificate = chain[0]!;
        rememberShown(certificate, context.svid);
        onPeer?.(certificate, id);
      },
      failed(error) {
        const failure = tlsFailure(error, "server", context.svid);
        onFailure?.(failure);
        return failure;
      },
    };
  };
  return new VerifyingCredentials(begin);
}

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/** One handshake: the own credentials, and what to do with its outcome. */
interface Handshake {
  readonly credentials: ChannelCredentials;
  /** Throws if the server is not trusted. */
  verify(socket: TLSSocket): void;
  /** Explains why the handshake failed. */
  failed(error: unknown): NsmError;
}

/**
 * Verifies each server before HTTP/2 starts, and explains failed handshakes. grpc-js implements its own
 * credentials with the same underscored methods, so the version of grpc-js is pinned.
 */
class VerifyingCredentials extends ChannelCredentials {
  constructor(private readonly begin: () => Handshake) {
    super();
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...args: Parameters<ChannelCredentials["_createSecureConnector"]>
  ): SecureConnector {
    return {
      connect: async (socket) => {
        const handshake = this.begin();
        const connector = handshake.credentials._createSecureConnector(...args);
        const secured = await connector.connect(socket).catch((error: unknown) => {
          throw handshake.failed(error);
        });
        const tls = secured.socket as TLSSocket;
        try {
          handshake.verify(tls);
        } catch (cause) {
          tls.destroy();
          // grpc-js keeps the message and drops the cause.
          const message = `the server was refused: ${explain(cause)}`;
          throw handshake.failed(new NsmError(Code.Unauthenticated, message, { cause }));
        }
        // In TLS 1.3, the client's handshake ends before the server rejects its certificate.
        tls.once("error", (error: NodeJS.ErrnoException) => {
          if (error.code?.startsWith("ERR_SSL_")) error.message = handshake.failed(error).message;
        });
        return secured;
      },
      waitForReady: async () => {},
      // The third argument: the credentials of all calls of the channel.
      getCallCredentials: () => args[2] ?? CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}
