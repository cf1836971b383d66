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
 * Learns the server's verified certificate at each handshake of a channel, before any call on that connection
 * asks for its token. The object is a new one for each TLS session; pass it on as it is in `Peer.certificate`.
 */
export type OnPeer = (certificate: X509Certificate, id: SpiffeId) => void;

/** Learns why a handshake of a channel failed. The calls that waited for it fail with the error's message. */
export type OnHandshakeFailure = (failure: NsmError) => void;

/**
 * Mutual TLS for one channel with the identity the source holds *now*: a channel keeps showing this
 * certificate when it reconnects, so make a new one when the source changes. The server's id is learned, not
 * demanded: any id of a trusted domain is let through, and no host name is checked.
 *
 * Credentials of the same generation share one SecureContext, but never a connection: the channels of two
 * calls of this function do not end up in the same subchannel. Give channels to IP addresses the option
 * `grpc.ssl_target_name_override` (`"localhost"` will do): grpc-js would send the address as server name, which
 * RFC 6066 forbids and Node warns of.
 *
 * @example
 * import type { X509Certificate } from "node:crypto";
 * import { Client } from "@grpc/grpc-js";
 * import { channelCredentials } from "nsm-sdk/identity";
 *
 * let server: X509Certificate | undefined;
 * const creds = channelCredentials(source, (certificate) => (server = certificate));
 * const client = new Client("127.0.0.1:5001", creds);
 */
export function channelCredentials(
  source: X509Source,
  onPeer?: OnPeer,
  onFailure?: OnHandshakeFailure,
): ChannelCredentials {
  const context = source.current();
  const inner = credentials.createFromSecureContext(secureContextOf(context), {
    // Verified below, where the certificates are at hand for the reason.
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
 * Verifies each server before HTTP/2 begins, and names the mistake of a failed handshake. Made the way grpc-js makes
 * its own credentials, but that is underscored: the version of grpc-js is pinned.
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
          // grpc-js passes the message on and drops the cause.
          const message = `the server was refused: ${explain(cause)}`;
          throw this.failed(new NsmError(Code.Unauthenticated, message, { cause }));
        }
        // In TLS 1.3 a server refuses the client's certificate after the client's part of the handshake.
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
