import type { X509Certificate } from "node:crypto";
import { credentials, type ChannelCredentials } from "@grpc/grpc-js";
import { asNsmError, Code, explain, NsmError } from "../core/index.js";
import type { SpiffeId } from "./spiffe-id.js";
import { peerChain, rememberShown, secureContextOf } from "./tls-context.js";
import { verifySvid } from "./verify.js";
import type { X509Source } from "./x509-source.js";

/**
 * Learns the server's verified certificate at each handshake of a channel, before any call on that connection
 * asks for its token. The object is a new one for each TLS session; pass it on as it is in `Peer.certificate`.
 */
export type OnPeer = (certificate: X509Certificate, id: SpiffeId) => void;

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
 * let server: X509Certificate | undefined;
 * const creds = channelCredentials(source, (certificate) => (server = certificate));
 * const client = new Client("127.0.0.1:5001", creds);
 */
export function channelCredentials(source: X509Source, onPeer?: OnPeer): ChannelCredentials {
  const context = source.current();
  return credentials.createFromSecureContext(secureContextOf(context), {
    // Called after OpenSSL has verified the chain, in place of the check of the host name. Sessions are not
    // resumed, so there is no handshake without it.
    checkServerIdentity(_hostname, shown) {
      try {
        const chain = peerChain(shown);
        const id = verifySvid(chain, source.current().bundles, Date.now());
        const certificate = chain[0]!;
        rememberShown(certificate, context.svid);
        onPeer?.(certificate, id);
        return undefined;
      } catch (error) {
        // grpc-js passes the message on and drops the cause.
        return new NsmError(Code.Unauthenticated, `the server was refused: ${explain(error)}`, {
          cause: asNsmError(error),
        });
      }
    },
  });
}
