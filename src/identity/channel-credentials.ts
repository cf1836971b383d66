import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { ChannelCredentials, credentials } from "@grpc/grpc-js";
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
 * Mutual TLS for one channel, with the current identity of the source. The channel keeps this certificate
 * when it reconnects, so create a new channel when the source changes. Any SPIFFE ID of a trusted domain is
 * accepted as server, and host names are not checked.
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
  const context = source.current();
  const inner = credentials.createFromSecureContext(secureContextOf(context), {
    // Verified below, where the reason of a rejection is available.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const verify = (socket: TLSSocket): void => {
    const { bundles } = source.current();
    const now = Date.now();
    assertAuthorized(socket, bundles, now);
    const chain = peerChain(socket.getPeerCertificate(true));
    const id = verifySvid(chain, bundles, now);
    const certificate = chain[0]!;
    rememberShown(certificate, context.svid);
    onPeer?.(certificate, id);
  };
  const failed = (error: unknown): NsmError => {
    const failure = tlsFailure(error, "server", context.svid);
    onFailure?.(failure);
    return failure;
  };
  return new VerifyingCredentials(inner, verify, failed);
}

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * Verifies each server before HTTP/2 starts, and explains failed handshakes. grpc-js implements its own
 * credentials with the same underscored methods, so the version of grpc-js is pinned.
 */
class VerifyingCredentials extends ChannelCredentials {
  constructor(
    private readonly inner: ChannelCredentials,
    private readonly verify: (socket: TLSSocket) => void,
    private readonly failed: (error: unknown) => NsmError,
  ) {
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
    const connector = this.inner._createSecureConnector(...args);
    return {
      connect: async (socket) => {
        const secured = await connector.connect(socket).catch((error: unknown) => {
          throw this.failed(error);
        });
        const tls = secured.socket as TLSSocket;
        try {
          this.verify(tls);
        } catch (cause) {
          tls.destroy();
          // grpc-js keeps the message and drops the cause.
          const message = `the server was refused: ${explain(cause)}`;
          throw this.failed(new NsmError(Code.Unauthenticated, message, { cause }));
        }
        // In TLS 1.3, the client's handshake ends before the server rejects its certificate.
        tls.once("error", (error: NodeJS.ErrnoException) => {
          if (error.code?.startsWith("ERR_SSL_")) error.message = this.failed(error).message;
        });
        return secured;
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}
